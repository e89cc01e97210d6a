"""Will a stream fit on this host's disk? It is foreseen from what has arrived, long before the disk is full."""

from __future__ import annotations

import math
import shutil
import time

from queue_app.downloaders.base import check_room
from queue_app.downloaders.feed import Feed
from queue_app.downloaders.reel import Reel, TrackMark
from queue_app.failures import TooLarge

_ENOUGH_SEGMENTS = 20
_ENOUGH_SHARE = 0.05
_HEAD_START_FACTOR = 2.2
"""The rest comes twice, into the segments' file and the MP4; with a reserve."""
_CHECK_SECONDS = 1.0
_GIB = 1024**3


class Room:
    """What the tracks of `feeds` will need, by their bytes per second so far. Of a live stream nothing is foreseen."""

    def __init__(self, reel: Reel, feeds: list[Feed]) -> None:
        """Call before any of the segments that are pending is taken."""
        self._folder = reel.folder
        self._tracks = [(feed.track, _length(feed)) for feed in feeds if feed.ended]
        self._due = 0.0

    def check(self) -> None:
        """Raise DiskFull when the rest doesn't fit, and TooLarge when an empty disk couldn't hold the stream either."""
        now = time.monotonic()
        if now < self._due:
            return
        known = [(track, seconds) for track, seconds in self._tracks if _is_known(track, seconds)]
        rest = sum(_rest(track, seconds) for track, seconds in known)
        expected = rest + sum(_size(track) for track, _ in self._tracks)
        whole = shutil.disk_usage(self._folder).total
        if expected > whole:
            raise TooLarge(
                f"The stream will have about {expected / _GIB:,.1f} GiB, but the whole disk of this host's downloads "
                f"has {whole / _GIB:,.1f} GiB. Choose a lower resolution, or give this host a larger disk."
            )
        check_room(self._folder, rest)
        if len(known) == len(self._tracks):
            self._due = now + _CHECK_SECONDS

    def bears_a_second_copy(self, copied: int = 0) -> bool:
        """Is there room for the rest twice, and for what has come but isn't among the `copied` bytes of the copy?"""
        rest = sum(_rest(track, seconds) for track, seconds in self._tracks)
        needed = _HEAD_START_FACTOR * rest + max(0, sum(_size(track) for track, _ in self._tracks) - copied)
        return needed <= shutil.disk_usage(self._folder).free


def _size(track: TrackMark) -> int:
    return sum(group.offset for group in track.groups)


def _seconds(track: TrackMark) -> float:
    return math.fsum(group.duration for group in track.groups)


def _length(feed: Feed) -> float:
    return _seconds(feed.track) + math.fsum(segment.duration for segment in feed.pending)


def _is_known(track: TrackMark, length: float) -> bool:
    """Has enough come to tell the rest from it?"""
    return track.count >= _ENOUGH_SEGMENTS or _seconds(track) >= _ENOUGH_SHARE * length


def _rest(track: TrackMark, length: float) -> int:
    """Bytes to come of a track of `length` seconds, by those that have."""
    seconds = _seconds(track)
    return round(_size(track) * (length - seconds) / seconds) if seconds > 0 else 0
