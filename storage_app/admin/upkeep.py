"""What the upkeep of the store has to do, has done, and has found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import now

from archive_site.admin_parts import (
    NOTHING,
    ReadOnlyAdmin,
    age,
    confirmation,
    counted,
    for_long,
    log_changes,
    pill,
    progress_bar,
    shortened,
    size,
)
from storage_app.models import Orphan, StorageAccount, StorageEvent, StorageTask, TaskKind, Tombstone
from storage_app.upkeep.reconcile import confirm_orphans
from storage_app.upkeep.tasks import ask_for

KINDS_FROM_NEWEST = 1000
AT_ONCE = 1000


class SteeredAdmin(ReadOnlyAdmin[Any]):
    """Rows that only the programme writes, but that whoever may change them may tell it about."""

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """May this user do more than look?"""
        return request.user.has_perm(f"storage_app.change_{self.opts.model_name}")


@admin.register(StorageTask)
class StorageTaskAdmin(SteeredAdmin):
    """What is due, what is in work, and what waits to be tried again. What is done is an event."""

    list_display = ("what", "state", "attempts", "why", "asked")
    list_display_links = ("what",)
    list_filter = ("kind", "account")
    list_select_related = ("stored_file", "account")
    search_fields = ("stored_file__path", "path")
    search_help_text = "Part of a path."
    ordering = ("not_before", "created_at")
    actions = ["do_now"]

    @admin.action(description="Do it now", permissions=["steer"])
    def do_now(self, request: HttpRequest, queryset: QuerySet[StorageTask]) -> None:
        """Those that wait are due at once; what is in work goes on."""
        waiting = queryset.filter(lease_token=None)[:AT_ONCE]
        tasks = list(StorageTask.objects.filter(pk__in=[task.pk for task in waiting]).select_related("account"))
        log_changes(request, StorageTask.objects.filter(pk__in=[task.pk for task in tasks]), "Told to be done now.")
        for task in tasks:
            ask_for(
                TaskKind(task.kind), stored_file=task.stored_file, account=task.account, repo=task.repo, path=task.path
            )
        if tasks:
            messages.success(request, f"{counted(len(tasks), 'task')} due now.")
        if left := queryset.count() - len(tasks):
            messages.warning(request, f"{counted(left, 'task')} left alone, being in work already.")

    @admin.display(description="task", ordering="kind")
    def what(self, task: StorageTask) -> SafeString:
        """To which file or account."""
        kind, *rest = str(task).split(" · ")
        return _with_small(kind, " · ".join(rest))

    @admin.display(description="state")
    def state(self, task: StorageTask) -> SafeString:
        """In work and how far, lost by its worker, waiting and for how long, or due."""
        if task.lease_token is None:
            waits = task.not_before > now()
            return (
                _with_small(pill("pending", "Waits"), for_long(task.not_before)) if waits else pill("cancelled", "Due")
            )
        alive = task.lease_expires_at is not None and task.lease_expires_at > now()
        word = pill("downloading", "In work") if alive else pill("failed", "Lost")
        total = task.bytes_total
        if not total:
            return _with_small(word, size(task.bytes_done) if task.bytes_done else "")
        text = f"{size(task.bytes_done)} of {size(total)}"
        return format_html("{}<br>{}", word, progress_bar(min(100, 100 * task.bytes_done // total), text))

    @admin.display(description="why, and what went wrong")
    def why(self, task: StorageTask) -> SafeString:
        """The reason, and below it the last error."""
        return _with_small(shortened(task.reason), shortened(task.error_message, 160) if task.error_message else "")

    @admin.display(description="asked for", ordering="created_at")
    def asked(self, task: StorageTask) -> SafeString:
        """How long ago, and by whom."""
        return _with_small(age(task.created_at, " ago"), f"by {task.actor}")


class EventKindFilter(SimpleListFilter):
    """What sort of thing happened?"""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """Kinds of the newest events: asking for all of them would read the whole table."""
        newest = StorageEvent.objects.order_by("-at").values_list("kind", flat=True)[:KINDS_FROM_NEWEST]
        kinds = set(newest) | ({self.value() or ""} - {""})
        return [(kind, kind.replace("_", " ").capitalize()) for kind in sorted(kinds)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StorageEvent]) -> QuerySet[StorageEvent]:
        """By exact name."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


class EventAccountFilter(SimpleListFilter):
    """At which account?"""

    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """All there are; events of deleted ones are found by the URL."""
        return [(str(account.pk), str(account)) for account in StorageAccount.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StorageEvent]) -> QuerySet[StorageEvent]:
        """Unknown values filter nothing."""
        value = self.value() or ""
        return (
            queryset.filter(account=int(value)) if value.isascii() and value.isdigit() and len(value) < 10 else queryset
        )


class TimeFilter(admin.DateFieldListFilter):
    """Since when?"""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "time"


@admin.register(StorageEvent)
class StorageEventAdmin(ReadOnlyAdmin[StorageEvent]):
    """What happened to copies and accounts, newest first."""

    list_display = ("when", "named", "story", "account", "actor")
    list_display_links = ("when",)
    list_filter = (EventKindFilter, EventAccountFilter, ("at", TimeFilter))
    search_fields = ("path__exact", "sha256__exact", "actor__exact")
    search_help_text = "A whole path or sha256, or who did it."
    ordering = ("-at",)

    @admin.display(description="when", ordering="at")
    def when(self, event: StorageEvent) -> SafeString | str:
        """How long ago."""
        return age(event.at, " ago")

    @admin.display(description="kind")
    def named(self, event: StorageEvent) -> str:
        """In words."""
        return event.kind.replace("_", " ")

    @admin.display(description="what happened")
    def story(self, event: StorageEvent) -> SafeString:
        """The sentence, and below it the file."""
        return _with_small(event.text, f"{event.repo}/{event.path}" if event.path else "")


class RemovalFilter(SimpleListFilter):
    """What still waits for a decision?"""

    title = "removal"
    parameter_name = "removal"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """Value and label."""
        return [("open", "Not confirmed"), ("confirmed", "Confirmed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Orphan]) -> QuerySet[Orphan]:
        """Unknown values filter nothing."""
        if self.value() in {"open", "confirmed"}:
            return queryset.filter(confirmed_at__isnull=self.value() == "open")
        return queryset


@admin.register(Orphan)
class OrphanAdmin(SteeredAdmin):
    """Objects on accounts that no table knows. None is removed before somebody confirms it."""

    list_display = ("what", "account", "bytes", "found", "seen", "state")
    list_filter = ("account", RemovalFilter)
    list_select_related = ("account",)
    search_fields = ("path",)
    search_help_text = "Part of a path."
    ordering = ("-found_at",)
    actions = ["confirm_removal"]

    @admin.action(description="Confirm removal…", permissions=["steer"])
    def confirm_removal(self, request: HttpRequest, queryset: QuerySet[Orphan]) -> TemplateResponse | None:
        """After a page that says how much goes."""
        if request.POST.get("confirmed") != "yes":
            return confirmation(
                self, request, queryset, "confirm_removal", "admin/storage_app/orphan/confirm_confirmation.html",
                title="Remove orphans?", yes="Yes, remove them",
                bytes=size(queryset.aggregate(sum=Sum("size"))["sum"] or 0),
            )  # fmt: skip
        chosen, ids = queryset.count(), list(queryset.filter(confirmed_at=None).values_list("pk", flat=True))
        number = confirm_orphans(ids, request.user.get_username())
        log_changes(request, Orphan.objects.filter(pk__in=ids).exclude(confirmed_at=None), "Removal confirmed.")
        if number:
            messages.success(request, f"{counted(number, 'orphan')} confirmed: removed once looked at again.")
        if left := chosen - number:
            messages.warning(
                request,
                f"{counted(left, 'orphan')} skipped: confirmed or gone already, not seen for long enough yet, or "
                "needed by manage.py rebuild_store, which comes first.",
            )
        return None

    @admin.display(description="object", ordering="path")
    def what(self, orphan: Orphan) -> SafeString:
        """Its path, and below it its repository."""
        return _with_small(orphan.path, orphan.repo)

    @admin.display(description="size", ordering="size")
    def bytes(self, orphan: Orphan) -> str:
        """In its largest unit."""
        return size(orphan.size)

    @admin.display(description="found", ordering="found_at")
    def found(self, orphan: Orphan) -> SafeString | str:
        """How long ago."""
        return age(orphan.found_at, " ago")

    @admin.display(description="last seen", ordering="seen_at")
    def seen(self, orphan: Orphan) -> SafeString | str:
        """How long ago."""
        return age(orphan.seen_at, " ago")

    @admin.display(description="removal")
    def state(self, orphan: Orphan) -> SafeString | str:
        """Confirmed by whom."""
        if orphan.confirmed_at is None:
            return NOTHING
        return _with_small(pill("pending", "Confirmed"), f"by {orphan.confirmed_by or 'system'}")


@admin.register(Tombstone)
class TombstoneAdmin(ReadOnlyAdmin[Tombstone]):
    """Videos that were deleted, newest first."""

    list_display = ("work", "episode", "provider", "resolution", "title", "bytes", "deleted", "actor", "why")
    search_fields = ("mal_id__exact", "file_key__exact", "sha256__exact", "actor__exact")
    search_help_text = "The number of a work, a file key, a whole sha256, or who deleted it."
    ordering = ("-deleted_at",)

    @admin.display(description="work", ordering="mal_id")
    def work(self, tombstone: Tombstone) -> str:
        """Without a thousands separator: it is a name."""
        return str(tombstone.mal_id)

    @admin.display(description="size", ordering="size")
    def bytes(self, tombstone: Tombstone) -> str:
        """In its largest unit."""
        return size(tombstone.size)

    @admin.display(description="deleted", ordering="deleted_at")
    def deleted(self, tombstone: Tombstone) -> SafeString | str:
        """How long ago."""
        return age(tombstone.deleted_at, " ago")

    @admin.display(description="reason")
    def why(self, tombstone: Tombstone) -> SafeString | str:
        """As it was given."""
        return shortened(tombstone.reason)


def _with_small(text: str, below: str) -> SafeString:
    small = format_html('<small class="rk-figures">{}</small>', below) if below else ""
    return format_html("{}{}", text, small)
