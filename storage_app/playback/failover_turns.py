"""Which copy is read next, and how fast each has been."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

from storage_app.backends.base import ContentMismatchError, ObjectMissingError, StorageAuthError
from storage_app.playback import known
from storage_app.playback.copies import Copy
from storage_app.playback.threads import SilentError

TRIES = 2
"""Of a copy that can't be reached or breaks off, before anything was gained."""
_FOR_GOOD = (ObjectMissingError, ContentMismatchError, StorageAuthError)


class Turns:
    """Whose turn it is: copies in their order, each again as long as there is hope."""

    def __init__(self, copies: Sequence[Copy]) -> None:
        self.copies = copies
        self.failures = [0.0] * len(copies)

    def next(self, busy: Iterable[int]) -> int | None:
        """The number of the copy to open now; None when there is none."""
        taken = set(busy)
        free = [number for number, count in enumerate(self.failures) if count < TRIES and number not in taken]
        return min(free, key=self.failures.__getitem__, default=None)

    def failed(self, number: int, error: Exception) -> None:
        """It gets another try at once, or, if it was silent, when others have sent something."""
        if isinstance(error, _FOR_GOOD):
            self.failures[number] = math.inf
        else:
            self.failures[number] += TRIES if isinstance(error, SilentError) else 1

    def gained(self) -> None:
        """Something was sent: what broke off before may be tried again, but not what can't be read for good."""
        self.failures = [count if math.isinf(count) else 0.0 for count in self.failures]


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
