"""One track's playlist over time: read once, or, of a live stream, again and again until it ends.

A live stream is followed from the first segment that it lists. It is asked for again as RFC 8216 §6.3.4 has it: after
its target duration, or half of it when it hasn't changed. One that doesn't change for five target durations (a server
must add a segment within one and a half, §6.2.1) has stopped without saying so: that is Transient, so a later attempt
looks again and goes on. A segment that left the playlist before it was fetched is missing, and the stream refused.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from queue_app.downloaders.base import Limits
from queue_app.downloaders.playlist import Playlist
from queue_app.downloaders.reel import TrackMark
from queue_app.downloaders.segments import MediaPlaylist, Segment, read_media
from queue_app.failures import BadSource, Transient

_STALE_TARGETS = 5
_SHORTEST_POLL = 0.5
_SHORTEST_PATIENCE = 3.0
"""Seconds, for streams of very short segments."""


class Feed:
    """The segments of a track, as they become known."""

    def __init__(self, read: Callable[[], Playlist], limits: Limits, track: TrackMark) -> None:
        self.pending: deque[Segment] = deque()
        self.track = track
        self.total: int | None = None
        """How many segments there are, once that is known."""
        self.refreshes = 0
        """Since the last segment that was written."""
        self._read, self._limits = read, limits
        self._first: int | None = None
        self._next: int | None = None
        self._last: Segment | None = None
        self._known: dict[int, Segment] = {}
        self._target = 0.0
        self._due = self._changed = time.monotonic()

    @property
    def ended(self) -> bool:
        """Are all segments known?"""
        return self.total is not None

    def start(self, playlist: Playlist, *, live: bool = False) -> bool:
        """Begin with a first reading; False when it isn't the stream that the track's record is of.

        `live`: it was a live stream. Raises BadSource when it went on too far since.
        """
        media = read_media(playlist, self._limits)
        track = self.track
        if track.count:
            if live:
                _check_nothing_missed(media, track)
            if not _continues(media, track, live=live):
                return False
            self._first, self._next = track.first, track.first + track.count
        self._merge(media)
        return True

    def poll(self) -> float:
        """Read a live playlist again if it is time; returns the seconds until the next time."""
        now = time.monotonic()
        if not self.ended and now >= self._due:
            self._merge(read_media(self._read(), self._limits))
            now = time.monotonic()
        return max(0.0, self._due - now)

    def refresh(self) -> None:
        """Read the playlist again for newly signed URLs."""
        self.refreshes += 1
        media = read_media(self._read(), self._limits)
        for segment in media.segments:
            old = self._known.get(segment.sequence)
            if old is not None and old.resource.identity() == segment.resource.identity():
                self._known[segment.sequence] = segment

    def newest(self, segment: Segment) -> Segment:
        """The same segment as the playlist has it now."""
        return self._known.get(segment.sequence, segment)

    def wrote(self, segment: Segment) -> None:
        """It is on the disk, and needs no newer URL."""
        self._known.pop(segment.sequence, None)
        self.refreshes = 0

    def _merge(self, media: MediaPlaylist) -> None:
        now = time.monotonic()
        new = [s for s in media.segments if self._next is None or s.sequence >= self._next]
        if new and self._next is not None and new[0].sequence > self._next:
            raise BadSource(
                f"The live stream went on too fast: segment {self._next} left its playlist before it was fetched."
            )
        self._check_same(media)
        self._target = max(media.target_duration, _SHORTEST_POLL)
        if new:
            self._first = new[0].sequence if self._first is None else self._first
            self._next, self._last, self._changed = new[-1].sequence + 1, new[-1], now
        self.pending.extend(new)
        self._known.update((segment.sequence, segment) for segment in new)
        count = (self._next or 0) - (self._first or 0)
        if count > self._limits.max_segments:
            raise BadSource(f"The stream has more than {self._limits.max_segments} segments.")
        if media.ended:
            self.total = count
        self._due = now + (self._target if new else self._target / 2)
        patience = max(_STALE_TARGETS * self._target, _SHORTEST_PATIENCE)
        if not media.ended and now - self._changed > patience:
            raise Transient(f"The live stream has had nothing new for {patience:.0f} seconds, and didn't say its end.")

    def _check_same(self, media: MediaPlaylist) -> None:
        """A server that numbers its segments anew would have us join what doesn't belong together."""
        last = self._last
        for segment in media.segments if last else ():
            if last and segment.sequence == last.sequence:
                if segment.resource.identity() != last.resource.identity():
                    raise BadSource("The live stream changed its segments' numbers (EXT-X-MEDIA-SEQUENCE).")
                return


def _check_nothing_missed(media: MediaPlaylist, track: TrackMark) -> None:
    missed = media.segments[0].sequence - (track.first + track.count) if media.segments else 0
    if missed > 0:
        raise BadSource(
            f"The live stream went on while the worker was away: {missed} segments left its playlist after the first "
            f"{track.count} were recorded, and can't be had any more."
        )


def _continues(media: MediaPlaylist, track: TrackMark, *, live: bool) -> bool:
    """Are the segments that `track` has those of this playlist?"""
    if not media.segments:
        return False
    first = media.segments[0].sequence
    if first != track.first:
        # Of a live stream the beginning has left the playlist; its last known segment may still be there.
        known = {segment.sequence: segment for segment in media.segments}.get(track.first + track.count - 1)
        same = known is None or known.resource.identity() == track.last
        return track.first < first and same and (live or known is not None or not media.ended)
    digest = ""
    for segment in media.segments[: track.count]:
        digest = segment.digest(digest)
    return len(media.segments) >= track.count and digest == track.digest
