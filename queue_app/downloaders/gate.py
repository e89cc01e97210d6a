"""How many segments are fetched at once: fewer as soon as the server says that it is too much, more again later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MORE_AFTER = 20
"""So many segments without a complaint, and one more is tried."""


class Gate:
    """Lets `most` threads through at once, at first. May be used from several threads."""

    def __init__(self, most: int) -> None:
        self._most = self._allowed = max(1, most)
        self._busy = self._good = 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn and keep it for the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy < self._allowed)
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()

    def complained(self) -> None:
        """The server had too many requests, the one whose turn this is among them: the others are the most it bears."""
        with self._changed:
            self._allowed = max(1, min(self._allowed, self._busy - 1))
            self._good = 0

    def succeeded(self) -> None:
        """A segment came."""
        with self._changed:
            self._good += 1
            if self._good >= _MORE_AFTER and self._allowed < self._most:
                self._allowed, self._good = self._allowed + 1, 0
                self._changed.notify()

    def open(self) -> None:
        """Let everybody through: the work is over."""
        with self._changed:
            self._allowed = 1_000_000
            self._changed.notify_all()
