"""How fast accounts fill up: pure functions over what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(days=30)
SHORTEST = timedelta(hours=12)
"""A shorter history says nothing about days."""
FARTHEST = timedelta(days=3650)
"""A date farther away than this is none."""


@dataclass(frozen=True)
class Sample:
    """What an account held at a moment, in bytes."""

    at: datetime
    used: int


def growth_per_day(samples: Iterable[Sample], window: timedelta = WINDOW) -> float | None:
    """Bytes a day by which the account grew (negative: shrank), over the last `window` of the samples.

    The slope of the least-squares line, so that one night's imports don't count more than the weeks around it. None
    when the samples span less than half a day.
    """
    ordered = sorted(samples, key=lambda sample: sample.at)
    if not ordered:
        return None
    recent = [sample for sample in ordered if sample.at >= ordered[-1].at - window]
    if recent[-1].at - recent[0].at < SHORTEST:
        return None
    days = [(sample.at - recent[0].at) / timedelta(days=1) for sample in recent]
    mean_day = sum(days) / len(days)
    mean_used = sum(sample.used for sample in recent) / len(recent)
    spread = sum((day - mean_day) ** 2 for day in days)
    moved = sum((day - mean_day) * (sample.used - mean_used) for day, sample in zip(days, recent, strict=True))
    return moved / spread


def full_on(samples: Iterable[Sample], free: int | None, now: datetime) -> datetime | None:
    """When `free` bytes will be used up at that growth; None: it doesn't grow, nobody knows, or in ten years."""
    growth = growth_per_day(samples)
    if free is None or growth is None or growth <= 0:
        return None
    if free <= 0:
        return now
    days = free / growth
    return now + timedelta(days=days) if days < FARTHEST / timedelta(days=1) else None
