"""Work on an archived file: an HLS ladder or captions."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from queue_app.states import MediaJobKind, MediaJobStatus


class MediaJob(models.Model):
    """One ladder or one transcription. A failed one never makes the archived video less ready."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    kind = models.CharField(max_length=20, choices=MediaJobKind.choices)
    file_id = models.UUIDField(help_text="The stored file it works on.")
    status = models.CharField(max_length=20, choices=MediaJobStatus.choices, db_default=MediaJobStatus.PENDING)
    progress = models.SmallIntegerField(db_default=0, help_text="0–100.")
    error_message = models.TextField(null=True, blank=True)  # noqa: DJ001 (NULL: none, as in video_queue)
    failure_class = models.CharField(max_length=20, db_default="", blank=True)
    attempt = models.IntegerField(db_default=0)
    max_attempts = models.IntegerField(db_default=3)
    not_before = models.DateTimeField(null=True, blank=True)
    worker_id = models.TextField(null=True, blank=True)  # noqa: DJ001 (NULL: nobody's)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    options = models.JSONField(db_default=models.Value({}, models.JSONField()), blank=True)
    result = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "media_job"
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=MediaJobKind.values), name="media_job_kind_known"),
            models.CheckConstraint(condition=Q(status__in=MediaJobStatus.values), name="media_job_status_known"),
            models.CheckConstraint(condition=Q(progress__range=(0, 100)), name="media_job_progress_percent"),
        ]
        indexes = [
            models.Index(fields=["created_at"], name="media_job_pending", condition=Q(status=MediaJobStatus.PENDING)),
            models.Index(fields=["status", "completed_at"], name="media_job_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.file_id}"
