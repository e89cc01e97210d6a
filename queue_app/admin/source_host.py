"""Source hosts in the admin: which of them fail, rest, or have a limit."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import now

from archive_site.admin_parts import PlainAdmin, age, for_long, log_changes, pill
from queue_app.models import SourceHost
from queue_app.queue import wake_workers

REST = timedelta(hours=1)
BREAKS_AT = 5  # as in strike_source_host.sql and claim_videos.sql

if TYPE_CHECKING:
    HostForm = forms.ModelForm[SourceHost]
else:
    HostForm = forms.ModelForm


class SourceHostForm(HostForm):
    """A host to limit, or the limit of one that is known."""

    max_concurrent = forms.IntegerField(
        min_value=1, max_value=1000, required=False, label="At once",
        help_text="Downloads from it at once, over all workers; empty: no limit.",
    )  # fmt: skip

    class Meta:
        model = SourceHost
        fields = ("host", "max_concurrent")
        widgets = {"host": forms.TextInput(attrs={"class": "vTextField"})}

    def clean_host(self) -> str:
        """As video_queue.source_host is spelled."""
        host: str = self.cleaned_data["host"].strip().lower()
        if not re.fullmatch(r"[^\s/?#@]{1,260}", host) or "://" in host:
            raise ValidationError(
                "Write the host as it stands in the URL, for example example.org or example.org:8080."
            )
        return host


@admin.register(SourceHost)
class SourceHostAdmin(PlainAdmin[SourceHost]):
    """Hosts that failed lately or have a limit; those without trouble have no row."""

    form = SourceHostForm
    list_display = ("host", "state", "failures", "rests", "max_concurrent", "changed", "videos")
    search_fields = ("host",)
    ordering = ("-failures", "host")
    actions = ["rest", "wake"]

    def get_fields(self, request: HttpRequest, obj: SourceHost | None = None) -> tuple[str, ...]:
        """A new one has only its limit."""
        return ("host", "max_concurrent") if obj is None else (
            "host", "max_concurrent", "state", "failures", "rests", "changed", "videos"
        )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: SourceHost | None = None) -> tuple[str, ...]:
        """What the queue itself keeps."""
        return () if obj is None else ("host", "state", "failures", "rests", "changed", "videos")

    def save_model(self, request: HttpRequest, obj: SourceHost, form: Any, change: bool) -> None:
        """Writes only the limit, for a worker may be counting a failure."""
        if change:
            obj.save(update_fields=["max_concurrent"])
        else:
            super().save_model(request, obj, form, change)

    @admin.display(description="state")
    def state(self, host: SourceHost) -> SafeString:
        """Open, resting, or tried with one download at a time."""
        if host.paused_until is not None and host.paused_until > now():
            return pill("pending", "Rests")
        return pill("failed", "One at a time") if host.failures >= BREAKS_AT else pill("ready", "Open")

    @admin.display(description="rests", ordering="paused_until")
    def rests(self, host: SourceHost) -> SafeString | str:
        """When it is tried again."""
        return for_long(host.paused_until)

    @admin.display(description="last change", ordering="updated_at")
    def changed(self, host: SourceHost) -> SafeString | str:
        """How long ago."""
        return age(host.updated_at, " ago")

    @admin.display(description="unfinished videos")
    def videos(self, host: SourceHost) -> SafeString:
        """A link to them."""
        query = urlencode({"host": host.host})
        return format_html('<a href="{}?{}">Show</a>', reverse("admin:queue_app_videoqueue_changelist"), query)

    @admin.action(description="Rest for an hour", permissions=["change"])
    def rest(self, request: HttpRequest, queryset: QuerySet[SourceHost]) -> None:
        """No download of theirs begins for an hour; what runs goes on."""
        log_changes(request, queryset, "Sent to rest for an hour in the admin.")
        number = queryset.update(paused_until=Now() + REST, updated_at=Now())
        messages.success(request, f"{_hosts(number)} resting for an hour; what runs goes on.")

    @admin.action(description="Wake now", permissions=["change"])
    def wake(self, request: HttpRequest, queryset: QuerySet[SourceHost]) -> None:
        """They are tried again at once: with one download at a time until one succeeds, if they had failed."""
        log_changes(request, queryset, "Woken in the admin.")
        number = queryset.update(paused_until=None, updated_at=Now())
        wake_workers()
        messages.success(request, f"{_hosts(number)} tried again from now on.")


def _hosts(number: int) -> str:
    return f"{number} host is" if number == 1 else f"{number} hosts are"
