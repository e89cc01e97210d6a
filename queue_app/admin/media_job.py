"""Ladders and captions in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, ReadOnlyAdmin, age, pill, progress_bar, shortened
from queue_app.models import MediaJob
from queue_app.states import MediaJobStatus


@admin.register(MediaJob)
class MediaJobAdmin(ReadOnlyAdmin[MediaJob]):
    """Every media job, newest first."""

    list_display = ("kind", "file_id", "state", "bar", "worker_id", "attempt", "failure", "age")
    list_filter = ("kind", "status")
    ordering = ("-created_at",)

    @admin.display(description="status", ordering="status")
    def state(self, job: MediaJob) -> SafeString:
        """As a coloured word."""
        return pill(job.status, job.get_status_display())

    @admin.display(description="progress")
    def bar(self, job: MediaJob) -> SafeString | str:
        """Of running jobs."""
        if job.status != MediaJobStatus.PROCESSING:
            return NOTHING
        return progress_bar(job.progress, f"{job.progress} %")

    @admin.display(description="last failure")
    def failure(self, job: MediaJob) -> SafeString | str:
        """Its beginning."""
        return shortened(job.error_message)

    @admin.display(description="age", ordering="created_at")
    def age(self, job: MediaJob) -> SafeString | str:
        """Since it was enqueued."""
        return age(job.created_at)
