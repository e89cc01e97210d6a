"""Workers in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.timezone import now

from archive_site.admin_parts import ReadOnlyAdmin, age, pill
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
        "jobs",
        "capacity",
        "done",
        "failed",
        "heartbeat",
    )
    search_fields = ("id", "host")
    ordering = ("-last_heartbeat",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        """With the number of jobs in work."""
        jobs = VideoQueue.objects.filter(worker_id=OuterRef("id"), status__in=IN_WORK).order_by()
        counted = jobs.values("worker_id").annotate(n=Count("id")).values("n")
        number = Coalesce(Subquery(counted, output_field=IntegerField()), 0)
        return super().get_queryset(request).annotate(jobs=number)

    @admin.display(description="state")
    def state(self, worker: Worker) -> SafeString:
        """Alive, silent (its jobs go to others) or stopped."""
        if worker.stopped_at is not None:
            return pill("cancelled", "Stopped")
        if now() - worker.last_heartbeat > ALIVE_WITHIN:
            return pill("failed", "Silent")
        return pill("ready", "Alive")

    @admin.display(description="jobs in work")
    def jobs(self, worker: Any) -> int:
        """Of both lanes."""
        return int(worker.jobs)

    @admin.display(description="last heartbeat", ordering="last_heartbeat")
    def heartbeat(self, worker: Worker) -> SafeString | str:
        """How long ago."""
        return age(worker.last_heartbeat, " ago")
