"""A job's history on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, duration, size
from queue_app.models import JobEvent, VideoQueue

NEWEST = 100

if TYPE_CHECKING:
    EventInline = admin.TabularInline[JobEvent, VideoQueue]
else:
    EventInline = admin.TabularInline


class JobEventInline(EventInline):
    """The newest events, in their order; nobody writes them but the database."""

    model = JobEvent
    extra = 0
    can_delete = False
    verbose_name_plural = "History"
    fields = readonly_fields = ("at", "actor", "change", "attempt", "moved", "took", "pace", "failure_class", "why")

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobEvent]:
        """A job that flaps for weeks has more than a page can hold."""
        match = request.resolver_match
        job = match.kwargs.get("object_id") if match else None
        newest: QuerySet[Any] = JobEvent.objects.filter(job_id=job).order_by("-id").values("id")[:NEWEST]
        return super().get_queryset(request).filter(id__in=newest)

    @admin.display(description="change")
    def change(self, event: JobEvent) -> str:
        """From which state to which."""
        return str(event)

    @admin.display(description="moved")
    def moved(self, event: JobEvent) -> str:
        """Bytes of the attempt that ended here."""
        return size(event.bytes_done)

    @admin.display(description="took")
    def took(self, event: JobEvent) -> str:
        """How long that attempt lasted."""
        return duration(event.seconds)

    @admin.display(description="speed")
    def pace(self, event: JobEvent) -> str:
        """Of that attempt, on average."""
        return NOTHING if event.speed is None else f"{size(event.speed)}/s"

    @admin.display(description="reason")
    def why(self, event: JobEvent) -> SafeString | str:
        """In a sentence; what programs said of it, to be unfolded."""
        if not event.details:
            return event.reason
        html = "{}<details><summary>What ffmpeg said</summary><pre>{}</pre></details>"
        return format_html(html, event.reason, event.details)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may see the job may see what became of it."""
        return request.user.has_perm("queue_app.view_videoqueue") or request.user.has_perm(
            "queue_app.change_videoqueue"
        )
