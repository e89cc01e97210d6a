"""Keeps what is remembered about the store small."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from storage_app.models import StorageEvent
from storage_app.upkeep import scrub

HOURLY_KEPT_DAYS = 30
"""Older measurements are thinned out to the last one of each day."""


def purge(events: timedelta, batch: int) -> int:
    """Remove events older than `events`, in batches, and old measurements; the number of rows that went."""
    removed = scrub.forget_old_days() + _thin_out_samples()
    while old := list(StorageEvent.objects.filter(at__lt=Now() - events).values_list("pk", flat=True)[:batch]):
        removed += StorageEvent.objects.filter(pk__in=old).delete()[0]
    return removed


def _thin_out_samples() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM capacity_sample s WHERE s.at < now() - make_interval(days => %s) AND EXISTS ("
            " SELECT 1 FROM capacity_sample later WHERE later.account_id = s.account_id AND later.at > s.at"
            " AND date_trunc('day', later.at, 'UTC') = date_trunc('day', s.at, 'UTC'))",
            [HOURLY_KEPT_DAYS],
        )
        return int(cursor.rowcount)
