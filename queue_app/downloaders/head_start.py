"""Putting a plain stream (one track, one group) into an MP4 file while its segments still arrive."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from queue_app.downloaders.base import Limits
from queue_app.downloaders.feed import Feed
from queue_app.downloaders.reel import PREFIX, Reel, TrackMark
from queue_app.downloaders.room import Room
from queue_app.media.growing import GrowingRemux

_NAME = f"{PREFIX}-video.mp4"
_CONTAINERS = {"mpegts", "fmp4"}


class HeadStart:
    """A context manager that leaves nothing behind unless `finish` gave its file.

    It gives its room back when the stream itself would lack it.
    """

    def __init__(self, reel: Reel, feeds: list[Feed], limits: Limits, room: Room) -> None:
        self._room = room
        self._reel, self._tools = reel, limits.tools if len(feeds) == 1 and _is_plain(feeds[0]) else None
        track = feeds[0].track
        waiting = math.fsum(segment.duration for segment in feeds[0].pending)
        self._seconds = waiting + math.fsum(group.duration for group in track.groups)
        self._track = track
        self._remux: GrowingRemux | None = None

    def __enter__(self) -> Self:
        try:
            if self._track.groups:
                self.wrote(self._track)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()

    def wrote(self, track: TrackMark) -> None:
        """A segment more is in the track's file."""
        if self._tools is None or track.groups[0].container not in _CONTAINERS:
            return
        group = track.groups[0]
        copied = 0 if self._remux is None else _size_of(self._reel.folder / _NAME)
        if not self._room.bears_a_second_copy(copied):
            self._abandon()
            return
        if self._remux is None:
            self._remux = GrowingRemux(
                self._reel.folder / group.name,
                group.container,
                self._reel.folder / _NAME,
                seconds=self._seconds,
                bytes_per_second=group.offset / max(group.duration, 0.001),
                tools=self._tools,
            )
        self._remux.grown(group.offset)

    def finish(self, meanwhile: Callable[[], None]) -> Path | None:
        """The MP4 file of the whole stream; None if there is none. `meanwhile` may raise to stop."""
        return self._remux.finish(meanwhile) if self._remux else None

    def _abandon(self) -> None:
        """Remove its file and never make it again."""
        remux, self._remux, self._tools = self._remux, None, None
        if remux is not None:
            remux.abandon()


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_plain(feed: Feed) -> bool:
    """Will all segments, none of which is unknown any more, be in one file?"""
    groups = feed.track.groups
    inits = [group.init for group in groups]
    inits += [segment.init.identity() if segment.init else None for segment in feed.pending]
    later = list(feed.pending) if groups else list(feed.pending)[1:]
    joints = any(segment.discontinuity for segment in later)
    return feed.ended and len(groups) <= 1 and not joints and all(init == inits[0] for init in inits)
