"""The django-q2 broker whose queue is `video_queue` itself.

django-q2 only runs the tasks. Which job, whose, how long and how often is decided by the claim and its lease in the
database: a task that django-q2 loses or runs twice finds its lease gone and changes nothing. So there is nothing to
acknowledge, and nothing is ever fetched before a process is free for it.
"""

from __future__ import annotations

import logging
import time
import uuid
from datetime import timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django_q.brokers import Broker
from django_q.signing import SignedPackage

from queue_app.queue import Lease, claim_videos
from queue_app.states import Lane

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""How long one call of `dequeue` may wait: django-q2 looks between calls whether it is to stop."""

TASKS = {Lane.DOWNLOAD: "queue_app.pipeline.run_download", Lane.UPLOAD: "queue_app.pipeline.run_upload"}


class VideoQueueBroker(Broker):  # type: ignore[misc]
    """Claims from one lane, named by the cluster's name (`download` or `upload`), for the worker `WORKER_ID`."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._listening: Any = None
        self._poll_at = 0.0

    def dequeue(self) -> list[tuple[str, str]] | None:
        """Claimed jobs as signed tasks; None after a short wait when there is nothing to do."""
        try:
            self._listen()
            leases = self._claim()
            if leases:
                log.debug("%s lane: claimed %s.", self.lane, ", ".join(str(lease.job_id) for lease in leases))
                return [(str(lease.job_id), SignedPackage.dumps(_task(self.lane, lease))) for lease in leases]
            self._wait()
        except (DatabaseError, InterfaceError, psycopg.Error) as error:  # the listening connection is psycopg's own
            log.warning("%s lane: the database can't be reached (%s), trying again.", self.lane, type(error).__name__)
            self._listening = None
            connection.close()
            time.sleep(WAIT_SECONDS)
        return None

    def ping(self) -> bool:
        """Always true: the database may come later, `dequeue` waits for it."""
        return True

    def info(self) -> str:
        """The broker's name for django-q2's monitor."""
        return "video_queue"

    @property
    def lane(self) -> Lane:
        """The lane that this cluster works at."""
        return Lane(self.list_key)

    def _claim(self) -> list[Lease]:
        if time.monotonic() < self._poll_at:
            return []
        leases = claim_videos(
            self.lane,
            settings.WORKER_ID,
            capacity=settings.MAX_CONCURRENT,
            limit=settings.MAX_CONCURRENT,
            lease=timedelta(seconds=settings.LEASE_SECONDS),
        )
        if not leases:
            self._poll_at = time.monotonic() + settings.POLL_INTERVAL
        return leases

    def _listen(self) -> None:
        """LISTEN once on each new connection, and look at the queue once after it."""
        connection.ensure_connection()
        if self._listening is not connection.connection:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN video_queue_{self.lane}")
            self._listening = connection.connection
            self._poll_at = 0.0

    def _wait(self) -> None:
        """Sleep until something changes in the queue, the next poll, or WAIT_SECONDS, whatever comes first."""
        seconds = min(WAIT_SECONDS, max(self._poll_at - time.monotonic(), 0))
        with connection.wrap_database_errors:  # a session that ends while it listens is an outage like any other
            for _notify in self._listening.notifies(timeout=seconds, stop_after=1):
                self._poll_at = 0.0


def _task(lane: Lane, lease: Lease) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "name": str(lease.job_id),
        "func": TASKS[lane],
        "args": (str(lease.job_id), str(lease.token)),
        "kwargs": {},
        "started": timezone.now(),
    }
