"""Progress is the heartbeat of a storage task: a thread writes it and so keeps the lease."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from types import TracebackType

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils.timezone import now

from storage_app.models import StorageTask
from storage_app.upkeep import tasks

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
SILENT_SECONDS = 600.0
"""Work that says nothing for so long may hang: nobody keeps its lease. More is allowed for a slow account and large
files, which some accounts copy or check without a word: three times STORAGE_TIMEOUT, and a second for SILENT_BYTES."""
SILENT_BYTES = 20_000_000


class TaskLost(Exception):
    """Somebody else may have the task by now, or its subject is gone: stop, write nothing."""


class Stopping(Exception):
    """The keeper is told to stop."""


class Postpone(Exception):
    """Not now, and nothing has failed. `str()` of it says what is waited for, `until` till when."""

    def __init__(self, reason: str, wait: timedelta | None = None, *, until: datetime | None = None) -> None:
        super().__init__(reason)
        self.until = until or now() + (wait or timedelta(minutes=1))


class NeedsPerson(Exception):
    """Nothing that the upkeep may do would help; a person has to look. Tried again after a day."""


class Beat:
    """Renews a task's lease within its `with` block, as long as the work calls `progress` or `check` now and then. They
    raise TaskLost, or Stopping when the keeper stops."""

    def __init__(self, task: StorageTask, lease: timedelta, stopping: threading.Event | None = None) -> None:
        self.task = task
        self._lease = lease
        self._stopping = stopping or threading.Event()
        self._done, self._before = 0, 0
        self._total: int | None = None
        self._renewed_at = self._heard_at = time.monotonic()
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"beat-{task.pk}", daemon=True)

    def __enter__(self) -> Beat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def expect(self, total: int) -> None:
        """So many bytes are going to be moved by the whole task."""
        self._total = total

    def progress(self, done: int) -> None:
        """So many bytes of the step that runs have been moved. Raises TaskLost and Stopping."""
        self._done = done
        self.check()

    def next_step(self) -> None:
        """The step is over: what follows counts from nothing, on top of it."""
        self._before += self._done
        self._done = 0
        self.check()

    def check(self) -> None:
        """Raises TaskLost and Stopping."""
        if self._stopping.is_set():
            raise Stopping
        if self._lost.is_set() or time.monotonic() - self._renewed_at > self._lease.total_seconds():
            raise TaskLost
        self._heard_at = time.monotonic()

    def _run(self) -> None:
        beat = min(BEAT_SECONDS, self._lease.total_seconds() / 4)
        try:
            while not self._ended.wait(beat) and not self._lost.is_set():
                if not self._silent():
                    self._renew()
        finally:
            connection.close()

    def _silent(self) -> bool:
        """For longer than any step takes that goes well?"""
        patience = max(SILENT_SECONDS, 3 * settings.STORAGE_TIMEOUT + (self._total or 0) / SILENT_BYTES)
        return time.monotonic() - self._heard_at > patience

    def _renew(self) -> None:
        try:
            if tasks.renew(self.task, self._lease, self._before + self._done, self._total):
                self._renewed_at = time.monotonic()
            else:
                self._lost.set()
        except (OperationalError, InterfaceError) as error:
            log.warning("%s: heartbeat not written (%s), trying again.", self.task, type(error).__name__)
            connection.close()


class NoBeat(Beat):
    """For work outside of any task, by hand: nothing holds a lease, nothing stops it."""

    def __init__(self) -> None:
        super().__init__(StorageTask(), timedelta.max)

    def check(self) -> None:
        """Never raises."""
