"""What this process has just learnt of copies and accounts: seeking in a video opens its copy again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable

GOOD_SECONDS = 300.0
FAILED_SECONDS = 60.0
_MOST = 10_000
_WEIGHT = 0.3  # of the newest measurement in the average
_TELLING_BYTES = 256 * 1024
_FAST = 32 * 1024 * 1024  # bytes a second; beyond that the viewer's own speed is measured

_good: dict[Hashable, float] = {}
_failed: dict[Hashable, float] = {}
_speeds: dict[Hashable, float] = {}


def good(copy: Hashable) -> None:
    """It was found to be as it should."""
    _note(_good, copy, time.monotonic() + GOOD_SECONDS)


def failed(copy: Hashable) -> bool:
    """It could not be opened or read. Is that news, or had it failed in the last minute already?"""
    _good.pop(copy, None)
    news = not has_failed(copy)
    _note(_failed, copy, time.monotonic() + FAILED_SECONDS)
    return news


def is_good(copy: Hashable) -> bool:
    """Was it, in the last five minutes, and has it not failed since?"""
    return _good.get(copy, 0.0) > time.monotonic()


def has_failed(copy: Hashable) -> bool:
    """In the last minute?"""
    return _failed.get(copy, 0.0) > time.monotonic()


def took(account: Hashable, size: int, seconds: float) -> None:
    """Viewers waited for `seconds` in all until the account had sent `size` bytes. Few bytes tell nothing."""
    if size < _TELLING_BYTES:
        return
    speed = size / max(seconds, size / _FAST)
    before = _speeds.get(account, speed)
    _note(_speeds, account, before + _WEIGHT * (speed - before))


def speed(account: Hashable) -> float | None:
    """Bytes a second, a moving average over what viewers got; None for an account that none was served from yet."""
    return _speeds.get(account)


def slowness(account: Hashable) -> float:
    """Sorts accounts: those not measured yet first, then the faster ones; alike within a factor of about two."""
    found = speed(account)
    return -math.inf if found is None else -float(round(math.log2(max(found, 1.0))))


def _note(known: dict[Hashable, float], key: Hashable, value: float) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value
