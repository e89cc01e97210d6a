"""Progress is the heartbeat: a thread of the task writes it and so keeps the lease."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType, TracebackType

from django.db import InterfaceError, OperationalError, connection

from queue_app.failures import Cancelled
from queue_app.queue import Lease, heartbeat_video

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
INTERRUPT = signal.SIGUSR1


class Heartbeat:
    """Renews a lease while the task inside its `with` block works, and tells the task when the lease is gone.

    The task calls `progress` or `check` often: both raise Cancelled once the lease was lost, or couldn't be renewed for
    as long as it lasts (another worker may have the job by then).
    """

    def __init__(self, lease: Lease, period: timedelta, stage: str) -> None:
        self.lease = lease
        self.stage = stage
        self._period = period
        self._bytes_done = 0
        self._bytes_total: int | None = None
        self._renewed_at = time.monotonic()
        self._interruptible = False
        self._signalling = threading.Lock()
        self._lost = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{lease.job_id}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def progress(self, bytes_done: int, bytes_total: int | None) -> None:
        """Note how far the stage has come. Raises Cancelled."""
        self._bytes_done = bytes_done
        self._bytes_total = bytes_total
        self.check()

    def enter(self, stage: str) -> None:
        """Go on to another stage, its progress from nothing. Raises Cancelled."""
        self.stage = stage
        self._bytes_done, self._bytes_total = 0, None
        self.check()

    def check(self) -> None:
        """Raises Cancelled when the lease is no longer ours."""
        if self._lost.is_set() or time.monotonic() - self._renewed_at > self._period.total_seconds():
            if threading.current_thread() is threading.main_thread():
                self._interruptible = False
            raise Cancelled(f"Job {self.lease.job_id} was taken from this worker.")

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within it, the loss of the lease raises Cancelled in the task's main thread even while that waits for bytes
        that don't come: once, and not when the thread has been told already, so that nothing interrupts its cleaning
        up. Only for code that leaves everything in order wherever it is interrupted once."""

        def interrupt(_signum: int, _frame: FrameType | None) -> None:
            if self._interruptible:
                self.check()

        before = signal.signal(INTERRUPT, interrupt)
        try:
            self._interruptible = True
            yield
        finally:
            self._interruptible = False
            # Sent under the lock, a signal can't arrive any more when its handler is another's again.
            with self._signalling:
                signal.signal(INTERRUPT, before)

    def _run(self) -> None:
        beat = min(BEAT_SECONDS, self._period.total_seconds() / 4)
        before = (time.monotonic(), 0, self.stage)
        try:
            # The claim has just written the lease: the first beat can wait, and a job that is done by then needs none.
            while not self._stopped.wait(beat) and not self._lost.is_set():
                now = (time.monotonic(), self._bytes_done, self.stage)
                self._beat(_speed(before, now))
                before = now
        finally:
            connection.close()

    def _beat(self, speed: int | None) -> None:
        try:
            if heartbeat_video(self.lease, self._period, self.stage, self._bytes_done, self._bytes_total, speed):
                self._renewed_at = time.monotonic()
            else:
                self._lost.set()
                with self._signalling:
                    if self._interruptible:
                        signal.pthread_kill(threading.main_thread().ident or 0, INTERRUPT)
        except (OperationalError, InterfaceError) as error:
            log.warning("Job %s: heartbeat not written (%s), trying again.", self.lease.job_id, type(error).__name__)
            connection.close()


def _speed(before: tuple[float, int, str], now: tuple[float, int, str]) -> int | None:
    """Bytes per second between two looks at the same stage."""
    seconds, moved = now[0] - before[0], now[1] - before[1]
    return int(moved / seconds) if seconds > 0 and moved >= 0 and now[2] == before[2] else None
