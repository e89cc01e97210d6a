"""Storage accounts in the admin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.functions import Coalesce, Now
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import now

from archive_site.admin_parts import NOTHING, PlainAdmin, for_long, log_changes, shortened, size
from storage_app.models import Replica, StorageAccount

if TYPE_CHECKING:
    StorageAccountForm = forms.ModelForm[StorageAccount]
else:
    StorageAccountForm = forms.ModelForm

_USERNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


class AccountForm(StorageAccountForm):
    """Checks what would otherwise be found out by the first upload."""

    root = forms.CharField(
        label="Folder",
        widget=forms.TextInput(attrs={"class": "vLargeTextField"}),
        help_text="Absolute path of the folder that holds the copies, the same on every host. "
        "Changing it moves no file: move them yourself first.",
    )

    class Meta:
        model = StorageAccount
        fields = ("index", "kind", "username", "root", "enabled")
        # The model's own text holds <…>, which a browser takes for tags.
        help_texts = {"username": "First part of the repositories' names, for example NAME/weaboo-55825."}

    def clean_username(self) -> str:
        """It becomes part of repository names."""
        name: str = self.cleaned_data["username"]
        if not _USERNAME.fullmatch(name):
            raise ValidationError("Use letters, digits, dots, hyphens and underscores, a letter or digit at both ends.")
        return name

    def clean_root(self) -> str:
        """Absolute, and spelled in one way only."""
        path = PurePosixPath(self.cleaned_data["root"])
        if not path.is_absolute() or ".." in path.parts:
            raise ValidationError("This must be an absolute path without “..”, for example /srv/reelkeep/1.")
        if len(path.parts) == 1:
            raise ValidationError("The whole file system is not a folder for copies; name one below it.")
        return str(path)


@admin.register(StorageAccount)
class StorageAccountAdmin(PlainAdmin[StorageAccount]):
    """Where copies go."""

    form = AccountForm
    list_display = ("index", "kind", "username", "root", "enabled", "pause", "files", "used")
    list_display_links = ("index", "username")
    ordering = ("index",)
    fields = ("index", "kind", "username", "root", "enabled")
    actions = ["resume"]

    @admin.action(description="Resume now", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> None:
        """Ends pauses; uploads that wait for these accounts go on at once."""
        paused = StorageAccount.objects.filter(pk__in=queryset.values_list("pk", flat=True), paused_until__gt=Now())
        log_changes(request, paused, "Resumed in the admin.")
        number = paused.update(paused_until=None, pause_reason="", pause_count=0)
        skipped = queryset.count() - number
        if number:
            messages.success(request, f"{number} account{'' if number == 1 else 's'} resumed.")
        if skipped:
            messages.warning(request, f"{skipped} account{'' if skipped == 1 else 's'} skipped, not being paused.")

    @admin.display(description="paused")
    def pause(self, account: StorageAccount) -> SafeString | str:
        """How much longer, and why."""
        if account.paused_until is None or account.paused_until <= now():
            return NOTHING
        return format_html("{}: {}", for_long(account.paused_until), shortened(account.pause_reason))

    def get_queryset(self, request: HttpRequest) -> QuerySet[StorageAccount]:
        """With what lies there."""
        used = Coalesce(Sum("replicas__stored_file__size"), 0)
        return super().get_queryset(request).annotate(files=Count("replicas"), used=used)

    def get_readonly_fields(self, request: HttpRequest, obj: StorageAccount | None = None) -> tuple[str, ...]:
        """The index is what stored videos name; changing it would make another account."""
        return () if obj is None else ("index", "kind", "pause", "files", "used", "created_at")

    def get_fields(self, request: HttpRequest, obj: StorageAccount | None = None) -> tuple[str, ...]:
        """A new account has nothing on it yet."""
        form = ("index", "kind", "username", "root", "enabled")
        return form if obj is None else (*form, "pause", "files", "used", "created_at")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The next free index."""
        highest = StorageAccount.objects.aggregate(highest=Max("index"))["highest"]
        return {"index": (highest or 0) + 1, **super().get_changeform_initial_data(request)}

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], list[str]]:
        """Says how many copies keep an account from being deleted; Django would list each of them."""
        copies = _copies(objs)
        if copies:
            return [], {}, set(), copies
        return super().get_deleted_objects(objs, request)

    @admin.display(description="files")
    def files(self, account: Any) -> int:
        """Copies on this account."""
        return int(account.files)

    @admin.display(description="used")
    def used(self, account: Any) -> str:
        """Their size."""
        return size(account.used)


def _copies(accounts: Iterable[StorageAccount]) -> list[str]:
    rows = (
        Replica.objects.filter(account__in=[account.pk for account in accounts])
        .order_by("account_id")
        .values_list("account__username")
        .annotate(n=Count("id"))
    )
    return [f"{n} copies on {name}. Disable the account instead: it then gets no new ones." for name, n in rows]
