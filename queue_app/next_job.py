"""After a job its process takes the lane's next one itself, so that a long queue wakes nobody for each job.

Only for a few seconds at a time: then the process goes back to the pool, which recycles it now and then. The claim is
the one that the broker makes, with all its limits.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from queue_app.models import VideoQueue
from queue_app.queue import claim_video, wake
from queue_app.states import Lane

log = logging.getLogger(__name__)

GO_ON_SECONDS = 5.0

_stopping = multiprocessing.RawValue("b", 0)
"""Shared by all processes that are forked from the one that imported this."""


def stop_going_on() -> None:
    """From now on no process of this lane takes a next job. Safe in a signal handler."""
    _stopping.value = 1


class Spell:
    """The jobs that one process does in a row."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._until = time.monotonic() + GO_ON_SECONDS

    def next_job(self) -> VideoQueue | None:
        """The lane's next job, claimed; None when there is none or this process has gone on for long enough."""
        if _stopping.value:
            return None
        try:
            if time.monotonic() < self._until:
                return claim_video(
                    self._lane,
                    settings.WORKER_ID,
                    capacity=settings.MAX_CONCURRENT,
                    lease=timedelta(seconds=settings.LEASE_SECONDS),
                )
            wake(self._lane)  # the slot is free, and nobody but this process knows
        except (OperationalError, InterfaceError) as error:
            log.warning("%s lane: no next job (%s).", self._lane, type(error).__name__)
            connection.close()
        return None
