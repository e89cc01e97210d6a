"""What happened to a job, in the order in which it happened."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from queue_app.models.video_queue import VideoQueue


class JobEvent(models.Model):
    """One change of a job's state: who, from, to, why. Written by the database itself (`record_job_event`)."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(VideoQueue, on_delete=models.CASCADE, related_name="events", db_column="job_id")
    at = models.DateTimeField(db_default=Now())
    actor = models.TextField(help_text="Worker, operator or database role.")
    from_status = models.CharField(max_length=20, db_default="", blank=True)
    to_status = models.CharField(max_length=20)
    attempt = models.IntegerField(db_default=0)
    failure_class = models.CharField(max_length=20, db_default="", blank=True)
    bytes_done = models.BigIntegerField(null=True, blank=True, help_text="Moved in the attempt that ended here.")
    seconds = models.FloatField(null=True, blank=True, help_text="How long the attempt took that ended here.")
    reason = models.TextField(db_default="", blank=True)
    details = models.TextField(db_default="", blank=True, help_text="What ffmpeg and other programs said.")

    class Meta:
        db_table = "job_event"
        ordering = ["id"]
        indexes = [models.Index(fields=["job", "id"], name="job_event_of_job")]

    def __str__(self) -> str:
        return f"{self.from_status or '(new)'} → {self.to_status}"

    @property
    def speed(self) -> int | None:
        """Bytes per second of the attempt that ended here."""
        return int(self.bytes_done / self.seconds) if self.bytes_done is not None and self.seconds else None
