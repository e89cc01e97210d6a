"""Totals of what has ended, kept so that counting costs the same with five million rows as with a thousand."""

from __future__ import annotations

from django.db import models


class QueueTotal(models.Model):
    """A change of a total. Changes are appended, so that writers never wait for one another, and now and then folded
    into one row (`fold_queue_totals`). The total is the sum."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=20, help_text="ready, failed, cancelled; archived: rows of video_store.")
    n = models.BigIntegerField()

    class Meta:
        db_table = "queue_total"
        indexes = [models.Index(fields=["name"], include=["n"], name="queue_total_sum")]

    def __str__(self) -> str:
        return f"{self.name} {self.n:+d}"
