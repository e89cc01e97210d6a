"""Workers in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import now

from archive_site.admin_parts import NOTHING, ReadOnlyAdmin, age, for_long, log_changes, pill, shortened
from queue_app import steering
from queue_app.counters import ALIVE_WITHIN
from queue_app.models import VideoQueue, Worker
from queue_app.states import IN_WORK


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin[Worker]):
    """Every host that ever worked, the latest heartbeat first."""

    list_display = (
        "id",
        "host",
        "pid",
        "version",
        "state",
        "pause",
        "jobs",
        "capacity",
        "done",
        "failed",
        "heartbeat",
    )
    search_fields = ("id", "host")
    ordering = ("-last_heartbeat",)
    actions = ["drain", "take_jobs"]

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Its rows are only the programme's to write, but whoever may change workers may tell them what to do."""
        return request.user.has_perm("queue_app.change_worker")

    @admin.action(description="Drain: finish what is in work, take no more", permissions=["steer"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        """They take no more downloads until they are told otherwise."""
        self._steer(request, queryset, draining=True)

    @admin.action(description="Take jobs again", permissions=["steer"])
    def take_jobs(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        """No longer drained, nor paused for want of disk space."""
        self._steer(request, queryset, draining=False)

    def _steer(self, request: HttpRequest, queryset: QuerySet[Worker], *, draining: bool) -> None:
        found = steering.drain(queryset.values_list("pk", flat=True), draining=draining)
        what = "no more downloads" if draining else "jobs again"
        log_changes(request, Worker.objects.filter(pk__in=found), f"Told in the admin to take {what}.")
        verb = "worker takes" if len(found) == 1 else "workers take"
        messages.success(request, f"{len(found)} {verb} {what}.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        """With the number of jobs in work."""
        jobs = VideoQueue.objects.filter(worker_id=OuterRef("id"), status__in=IN_WORK).order_by()
        counted = jobs.values("worker_id").annotate(n=Count("id")).values("n")
        number = Coalesce(Subquery(counted, output_field=IntegerField()), 0)
        return super().get_queryset(request).annotate(jobs=number)

    @admin.display(description="state")
    def state(self, worker: Worker) -> SafeString:
        """Alive, and then whether it takes downloads; silent (its jobs go to others); stopped."""
        if worker.stopped_at is not None:
            return pill("cancelled", "Stopped")
        if now() - worker.last_heartbeat > ALIVE_WITHIN:
            return pill("failed", "Silent")
        if worker.draining:
            return pill("uploading", "Draining")
        if worker.paused_until is not None and worker.paused_until > now():
            return pill("pending", "Paused")
        return pill("ready", "Alive")

    @admin.display(description="takes no downloads")
    def pause(self, worker: Worker) -> SafeString | str:
        """How much longer, and why."""
        if worker.draining:
            return "until told otherwise"
        if worker.paused_until is None or worker.paused_until <= now():
            return NOTHING
        return format_html("{}: {}", for_long(worker.paused_until), shortened(worker.pause_reason))

    @admin.display(description="jobs in work")
    def jobs(self, worker: Any) -> int:
        """Of both lanes."""
        return int(worker.jobs)

    @admin.display(description="last heartbeat", ordering="last_heartbeat")
    def heartbeat(self, worker: Worker) -> SafeString | str:
        """How long ago."""
        return age(worker.last_heartbeat, " ago")
