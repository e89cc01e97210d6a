"""What an account's page tells beside its form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import now

from archive_site.admin_parts import NOTHING, age, for_long, pill, shortened, table
from storage_app.admin.plot import Point, capacity_plot
from storage_app.backends.base import StorageAuthError
from storage_app.credentials import secret_of
from storage_app.models import AccountKind, CapacitySample, StorageAccount, StorageEvent, StorageTask

PLOTTED = timedelta(days=90)
EVENTS_OF = timedelta(days=30)
SHOWN = 15


def state_of(account: StorageAccount) -> SafeString:
    """In one word."""
    if account.retired_at is not None:
        return pill("cancelled", "Retired")
    if account.draining:
        return pill("uploading", "Draining")
    if not account.enabled:
        return pill("cancelled", "Disabled")
    if account.paused_until is not None and account.paused_until > now():
        return pill("pending", "Paused")
    return pill("ready", "In use")


def account_link(account: StorageAccount) -> SafeString:
    """Its name, leading to its page."""
    url = reverse("admin:storage_app_storageaccount_change", args=[account.pk])
    return format_html('<a href="{}">{}</a>', url, account)


def pause_of(account: StorageAccount) -> SafeString | str:
    """How much longer, and why."""
    if account.paused_until is None or account.paused_until <= now():
        return NOTHING
    return format_html("{}: {}", for_long(account.paused_until), shortened(account.pause_reason))


def secret_state(account: StorageAccount) -> str:
    """Whether it is there, never what it is."""
    if account.kind == AccountKind.LOCAL:
        return "None needed"
    try:
        found = bool(secret_of(account))
    except StorageAuthError as error:
        return str(error)
    if account.secret_env:
        return f"Set: read from {account.secret_env}"
    return "Set, sealed" if found else "Not set"


def plot_of(account: StorageAccount) -> SafeString | str:
    """The last 90 days."""
    samples = CapacitySample.objects.filter(account=account, at__gt=Now() - PLOTTED).order_by("at")
    rows = samples.values_list("at", "used_bytes", "reserved_bytes", "free_bytes")
    return capacity_plot(
        [Point(at, used, reserved, None if free is None else used + free) for at, used, reserved, free in rows]
    )


def events_of(account: StorageAccount) -> SafeString | str:
    """The newest, with a link to all."""
    events = StorageEvent.objects.filter(account=account.pk, at__gt=Now() - EVENTS_OF).order_by("-at")
    rows = [(age(event.at, " ago"), event.text, event.actor) for event in events[:SHOWN]]
    if not rows:
        return "Nothing in the last 30 days."
    url = f"{reverse('admin:storage_app_storageevent_changelist')}?{urlencode({'account': account.pk})}"
    return format_html('{}<p><a href="{}">All of them</a></p>', table(("When", "What", "By"), rows), url)


def failures_of(account: StorageAccount) -> SafeString | str:
    """Tasks at this account that didn't succeed so far, and why."""
    tasks: Any = StorageTask.objects.filter(account=account).exclude(error_message="").select_related("stored_file")
    rows = [
        (str(task), task.attempts, for_long(task.not_before), task.error_message)
        for task in tasks.order_by("-created_at")[:SHOWN]
    ]
    return table(("Task", "Attempts", "Waits", "Why"), rows) if rows else "None."
