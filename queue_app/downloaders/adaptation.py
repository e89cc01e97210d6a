"""How many connections a source bears, learnt from its refusals, and how patiently the last one is kept up."""

from __future__ import annotations

import random

from queue_app.downloaders.base import Limits
from queue_app.downloaders.version import Refused
from queue_app.failures import Failure, Transient

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0
LONGEST_RETRY_AFTER = 60.0
"""Seconds: a source that wants more time than this is asked again after it all the same."""
PROGRESS_BYTES = 64 * 1024
"""Fewer new bytes than this between two failures aren't worth going on for."""


class Adaptation:
    """Goes down by one with each refusal; from then on tries one more now and then, the rarer the more in vain.

    Times are those of a monotonic clock in seconds. Its user keeps calls from several threads apart.
    """

    def __init__(self, most: int, allowed: int) -> None:
        self.most, self.allowed = most, min(most, allowed)
        self._wait = _FIRST_WAIT
        self._next = 0.0
        self._learnt = False

    def may_start(self, running: int, now: float) -> bool:
        """May another connection be opened beside `running` ones?"""
        return running < self.allowed or (running < self.most and self._learnt and now >= self._next)

    def start(self, running: int, now: float) -> bool:
        """Another is opened beside `running` ones; is it one more than is known to be borne?"""
        probe = running >= self.allowed
        if probe:
            self.allowed = running + 1
            self._next = now + self._wait
        return probe

    def refused(self, running: int, now: float, *, probe: bool = False, retry_after: float | None = None) -> None:
        """One of `running` connections was refused, and is given up."""
        if probe:
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
        self._learnt = True
        self.allowed = max(0, min(self.allowed, running - 1))
        self._next = now + max(self._wait, min(retry_after or 0.0, LONGEST_RETRY_AFTER))

    def worked(self, *, probe: bool = False) -> None:
        """A connection was given a range."""
        if probe:
            self._wait = _FIRST_WAIT
        if not self._learnt:
            self.allowed = self.most

    def only_one(self) -> None:
        """The source gives no ranges."""
        self.most, self.allowed = 1, min(1, self.allowed)


class Patience:
    """Retries in place of the last connection that is left: a few without progress, any number with it."""

    def __init__(self, limits: Limits, count: int = 3) -> None:
        self._count, self._first_wait = count, limits.retry_wait
        self._strikes, self._reached = 0, 0

    def strike(self, failure: Failure, done: int, retry_after: float | None = None) -> float:
        """Seconds to wait before the next try, having `done` bytes. Raises `failure` when there have been too many."""
        if not isinstance(failure, Transient):
            raise failure
        progress = done - self._reached >= PROGRESS_BYTES
        self._reached = max(self._reached, done)
        self._strikes = 1 if progress else self._strikes + 1
        if self._strikes > self._count:
            raise failure
        wait = 0.0 if progress else self._first_wait * 2 ** (self._strikes - 1)
        jittered = wait * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
        return max(jittered, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


def may_be_too_many(refused: Refused) -> bool:
    """Can having fewer connections help? A missing file stays missing."""
    return refused.status is None or refused.status >= 500 or refused.status in {401, 403, 408, 425, 429}
