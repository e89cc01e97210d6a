"""A bandwidth cap that the processes of one worker keep together."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from queue_app.downloaders.base import Limits

_FILE = "rate"
_BURST_SECONDS = 0.25
"""So much of the time in which nothing was fetched may be made up for at once."""
_LONGEST_DEBT = 60.0
"""Seconds, or as long as `_MOST_OWED` takes. A clock that is further ahead is from before this machine's last start
(CLOCK_MONOTONIC began anew), or damaged."""
_MOST_OWED = 64 * 1024 * 1024
"""Bytes. Each reader owes one piece of 256 KiB at most before it waits: so much is owed by 256 of them."""


class Throttle:
    """Spreads bytes so that all who share `limits.shared` stay below `limits.max_rate` together.

    The generic cell rate algorithm: the file holds the moment, by CLOCK_MONOTONIC, at which the bytes taken so far are
    paid off. A process that dies owes nothing. With `limits.shared` None only this object's callers are counted. May be
    called from several threads at once.
    """

    def __init__(self, limits: Limits) -> None:
        self._rate = limits.max_rate
        self._folder: Path | None = limits.shared
        self._lock = threading.Lock()
        self._paid_off = 0.0

    def take(self, size: int, stopped: threading.Event | None = None) -> None:
        """Call with the number of bytes that have arrived; returns when the next may be read, or `stopped` is set."""
        if self._rate is None or size <= 0:
            return
        wait = self._charge(size / self._rate)
        if wait <= 0:
            return
        if stopped is None:
            time.sleep(wait)
        else:
            stopped.wait(wait)

    def _charge(self, seconds: float) -> float:
        """Add to the debt; returns how long it takes until it is paid off."""
        with self._lock:
            if self._folder is None:
                self._paid_off, wait = self._later(self._paid_off, seconds)
                return wait
            with _locked(self._folder / _FILE) as file:
                content = os.pread(file, 8, 0)
                paid_off, wait = self._later(struct.unpack("d", content)[0] if len(content) == 8 else 0.0, seconds)
                os.pwrite(file, struct.pack("d", paid_off), 0)
                return wait

    def _later(self, paid_off: float, seconds: float) -> tuple[float, float]:
        """The moment that the debt is paid off when it has grown by `seconds`, and how far that is from now."""
        now = time.monotonic()
        # A damaged file may hold anything, NaN too, of which every comparison is false.
        in_time = paid_off <= now + max(_LONGEST_DEBT, _MOST_OWED / (self._rate or 1))
        later = (max(paid_off, now - _BURST_SECONDS) if in_time else now) + seconds
        return later, later - now


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
