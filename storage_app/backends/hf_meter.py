"""How far the transfer of several files has come."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Meter:
    """Adds up what is reported of the parts of a transfer, from any thread, for one `Progress`.

    `stopped` is what the callback raised, if it did: the transfer is to end, however the client wraps that.
    """

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.stopped: BaseException | None = None
        self._progress = progress
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def at(self, part: str, done: int) -> None:
        """So many bytes of `part` are done; a smaller number than before is left out."""
        with self._lock:
            self._done[part] = max(done, self._done.get(part, 0))
        self.again()

    def again(self) -> None:
        """The same figure as before, so that the callback can stop us while nothing moves."""
        with self._lock:
            if self.stopped is not None:
                raise self.stopped
            try:
                self._progress(sum(self._done.values()))
            except BaseException as error:
                self.stopped = error
                raise
