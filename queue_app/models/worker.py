"""One row per worker host."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Worker(models.Model):
    """A running or once running `archive_worker`. Alive is who has a recent heartbeat."""

    id = models.TextField(primary_key=True)
    host = models.TextField()
    pid = models.IntegerField()
    version = models.CharField(max_length=20)
    capacity = models.IntegerField(help_text="Videos at a time in each lane.")
    started_at = models.DateTimeField(db_default=Now())
    last_heartbeat = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True)
    draining = models.BooleanField(db_default=False, help_text="Finishes what it has and takes no more.")
    paused_until = models.DateTimeField(null=True, blank=True, help_text="Takes no downloads until then.")
    pause_reason = models.TextField(db_default="", blank=True)
    done = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "worker"

    def __str__(self) -> str:
        return self.id
