"""What this process has just learnt of copies: seeking in a video opens its copy again and again."""

from __future__ import annotations

import time
from collections.abc import Hashable

GOOD_SECONDS = 300.0
FAILED_SECONDS = 60.0
_MOST = 10_000

_good: dict[Hashable, float] = {}
_failed: dict[Hashable, float] = {}


def good(copy: Hashable) -> None:
    """It was found to be as it should."""
    _note(_good, copy, GOOD_SECONDS)


def failed(copy: Hashable) -> None:
    """It could not be opened or read."""
    _good.pop(copy, None)
    _note(_failed, copy, FAILED_SECONDS)


def is_good(copy: Hashable) -> bool:
    """Was it, in the last five minutes, and has it not failed since?"""
    return _good.get(copy, 0.0) > time.monotonic()


def has_failed(copy: Hashable) -> bool:
    """In the last minute?"""
    return _failed.get(copy, 0.0) > time.monotonic()


def _note(known: dict[Hashable, float], copy: Hashable, seconds: float) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[copy] = time.monotonic() + seconds
