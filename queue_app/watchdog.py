"""Notices a lane that claims jobs but never starts them.

django-q2's worker processes share one lock around their queue. One that is killed while it waits for work takes the
lock with it: the pool looks alive, and never takes another task.
"""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

from queue_app import queue
from queue_app.states import Lane

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
"""A claimed job starts within milliseconds, because nothing is claimed before a process is free for it."""


class Watchdog:
    """Looks once a second whether each claimed job of this worker has started.

    Only time during which it could look counts: neither an outage of the database nor a suspended worker makes a lane
    look deaf.
    """

    def __init__(self, worker_id: str, lease: timedelta) -> None:
        self._worker_id = worker_id
        # Sooner than the lease ends, or the jobs would be taken back one by one and the lane never suspected.
        self._patience = min(PATIENCE_SECONDS, lease.total_seconds() / 2)
        self._looked_at = 0.0
        self._waiting: dict[UUID, float] = {}

    def deaf_lanes(self) -> set[Lane]:
        """The lanes with a job that should have started long ago; asks the database when a look is due."""
        now = time.monotonic()
        since_last = now - self._looked_at
        if since_last < LOOK_SECONDS:
            return set()
        unstarted = queue.unstarted_videos(self._worker_id)
        known = self._waiting if since_last < 3 * LOOK_SECONDS else {}
        self._looked_at = now
        self._waiting = {token: known.get(token, now) for token in unstarted}
        return {unstarted[token] for token, since in self._waiting.items() if now - since >= self._patience}
