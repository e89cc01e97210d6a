"""Where a video plays from while it isn't archived."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlayableSource:
    """The source's own URL, which a player can open, and the status of the video's job."""

    url: str
    status: str
