"""How much there is of everything: the one source for /status, the admin's first page and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from queue_app import queue
from queue_app.models import Worker
from queue_app.states import VideoStatus

# A worker writes its heartbeat every few seconds; three missed lease periods in a row are no hiccup.
ALIVE_WITHIN = timedelta(seconds=30)


@dataclass(frozen=True)
class Counters:
    """Jobs by status (every status is there, also with 0) and archived videos."""

    queue: dict[str, int]
    archived: int


def count_videos() -> Counters:
    """Counted now, at a cost that doesn't grow with what has ended (see `get_queue_counts.sql`)."""
    found = queue.get_queue_counts()
    return Counters({status.value: found[status.value] for status in VideoStatus}, found["archived"])


def living_workers() -> QuerySet[Worker]:
    """Workers with a recent heartbeat that haven't said good-bye."""
    return Worker.objects.filter(stopped_at__isnull=True, last_heartbeat__gt=Now() - ALIVE_WITHIN)
