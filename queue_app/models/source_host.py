"""What is known of a source host: whether it rests, and how many downloads it may see at once."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class SourceHost(models.Model):
    """A circuit breaker for each host (with its port). After repeated failures the host rests; then one download at a
    time tries it, until one succeeds. Other hosts go on meanwhile."""

    host = models.TextField(primary_key=True, help_text="As in the URL: name, or name:port.")
    failures = models.IntegerField(db_default=0, help_text="In a row.")
    paused_until = models.DateTimeField("rests until", null=True, blank=True)
    max_concurrent = models.PositiveIntegerField(
        null=True, blank=True, help_text="Downloads from it at once, over all workers; empty: no limit."
    )
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "source_host"

    def __str__(self) -> str:
        return self.host
