"""Which copy is read next, and how fast each has been."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Iterable, Sequence

from archive_site.pieces import FileSlice
from storage_app.backends.base import (
    ContentMismatchError,
    ObjectMissingError,
    StorageAuthError,
    StorageUnavailableError,
)
from storage_app.playback import known
from storage_app.playback.copies import Copy
from storage_app.playback.threads import SilentError, silent

TRIES = 2
"""Of a copy that can't be reached or breaks off, before anything was gained."""
FORGIVEN_SECONDS = 30.0
"""After which a copy that could not be reached may be again."""
_FOR_GOOD = (ObjectMissingError, ContentMismatchError, StorageAuthError)


class Turns:
    """Whose turn it is: copies in their order, each again as long as there is hope."""

    def __init__(self, copies: Sequence[Copy]) -> None:
        self.copies = copies
        self._failures = [0.0] * len(copies)
        self._last = [-math.inf] * len(copies)

    def next(self, busy: Iterable[int]) -> int | None:
        """The number of the copy to open now; None when there is none."""
        taken = set(busy)
        free = [number for number in range(len(self.copies)) if number not in taken and self.failures(number) < TRIES]
        return min(free, key=self.failures, default=None)

    def failures(self, number: int) -> float:
        """How often it has failed of late."""
        count = self._failures[number]
        return count if math.isinf(count) or time.monotonic() - self._last[number] < FORGIVEN_SECONDS else 0.0

    def failed(self, number: int, error: Exception) -> None:
        """It gets another try at once, if it was silent after a while, and none where that would be in vain."""
        worth = math.inf if isinstance(error, _FOR_GOOD) else TRIES if isinstance(error, SilentError) else 1
        self._failures[number] = self.failures(number) + worth
        self._last[number] = time.monotonic()

    def gained(self, number: int) -> None:
        """It has sent something: should it break off, that is not yet its end."""
        self._failures[number] = 0.0


class Meter:
    """How long was waited for how many bytes of a copy."""

    def __init__(self) -> None:
        self._size, self._seconds = 0, 0.0

    def add(self, size: int, seconds: float) -> None:
        """So many bytes came after so many seconds."""
        self._size += size
        self._seconds += seconds

    def tell(self, account: Hashable) -> None:
        """That is what was read from a copy on this account; begin anew."""
        known.took(account, self._size, self._seconds)
        self._size, self._seconds = 0, 0.0


def shortfall(piece: FileSlice, position: int) -> Exception:
    """Why not all of it was sent; `position` is where it ends.

    A disk that was silent is no SilentError: no other copy has sent its bytes yet, so it may get another try.
    """
    if isinstance(piece.error, TimeoutError) and piece.patience is not None:
        return StorageUnavailableError(str(silent(piece.patience)))
    return piece.error or ContentMismatchError(f"It ends at byte {position}.")
