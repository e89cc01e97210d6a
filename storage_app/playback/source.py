"""Where a video can be played from while it isn't archived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from storage_app.naming import VideoKey

Instead = Callable[[], Awaitable[str | None]]
"""Finds another URL in the place of one that is dead; None when there is none."""


@dataclass(frozen=True)
class PlayableSource:
    """The direct URL of a video's source, which may hold tokens and is shown to nobody but by a signed link, and the
    status of its job (`pending`, `downloading`, …)."""

    url: str = field(repr=False)
    status: str
    instead: Instead | None = field(default=None, repr=False, compare=False)
    """What to do when the source doesn't give it any more."""


SourceOf = Callable[[VideoKey], Awaitable[PlayableSource | None]]
"""Finds it; None when there is nothing that can be played."""
