"""All tracks of an HLS stream on their way to the disk, each in order, until the last one has ended."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from queue_app.downloaders.base import Limits, ProgressSink, check_size
from queue_app.downloaders.body import Refused
from queue_app.downloaders.crew import Crew, Fetched, What
from queue_app.downloaders.feed import Feed
from queue_app.downloaders.reel import Reel, TrackMark
from queue_app.downloaders.segments import Segment
from queue_app.failures import BadSource, ExpiredUrl, Failure, Forbidden, Gone

_PROGRESS_SECONDS = 0.2
_TRACK_KINDS = {
    "mpegts": "MPEG-TS",
    "fmp4": "fragmented MP4",
    "aac": "AAC",
    "mp3": "MP3",
    "ac3": "AC-3",
    "eac3": "E-AC-3",
}


@dataclass(frozen=True)
class _UnderWay:
    segment: Segment
    name: str
    future: Future[Fetched]
    init: Future[bytes] | None
    """What comes before it where it begins a group."""

    @property
    def slowest(self) -> Future[Any]:
        """One to wait for."""
        return self.init if self.init is not None and not self.init.done() else self.future

    @property
    def done(self) -> bool:
        return self.future.done() and (self.init is None or self.init.done())


@dataclass
class _Lane:
    feed: Feed
    number: int
    """Of the segment that was asked for last, from 1."""
    under_way: deque[_UnderWay] = field(default_factory=deque)
    last: Segment | None = None
    position: float = 0.0
    """Of the end of what was asked for, in seconds from the beginning."""

    def begins_group(self, segment: Segment) -> bool:
        if self.last is None:
            return self.feed.track.begins_group(segment)
        return segment.discontinuity or _identity(segment) != _identity(self.last)


class Recording:
    """Takes every segment of `feeds` through `crew` into `reel`."""

    def __init__(
        self,
        crew: Crew,
        reel: Reel,
        feeds: list[Feed],
        limits: Limits,
        progress: ProgressSink,
        wrote: Callable[[TrackMark], None],
    ) -> None:
        """`wrote` is called after each segment."""
        self._wrote = wrote
        self._crew, self._reel, self._limits, self._progress = crew, reel, limits, progress
        self._lanes = [_Lane(feed, feed.track.count, position=_seconds(feed.track)) for feed in feeds]

    def run(self) -> None:
        """Until all tracks are whole. Raises every Failure that `base` names, and Cancelled from the progress sink."""
        while True:
            self._progress(self._crew.bytes_done, None)
            pause = self._poll()
            self._ask()
            heads = [lane.under_way[0] for lane in self._lanes if lane.under_way]
            if heads:
                undone = [head.slowest for head in heads if not head.done]
                wait(undone, min(pause, _PROGRESS_SECONDS) if len(undone) == len(heads) else 0, FIRST_COMPLETED)
            elif all(lane.feed.ended and not lane.feed.pending for lane in self._lanes):
                return
            else:
                time.sleep(min(pause, _PROGRESS_SECONDS))
            for lane in self._lanes:
                while lane.under_way and lane.under_way[0].done:
                    self._take(lane)

    def _poll(self) -> float:
        """Look for what is new in live playlists; returns the seconds until there may be more."""
        pause = _PROGRESS_SECONDS
        for lane in self._lanes:
            if not lane.feed.ended:
                self._check_time()
                try:
                    pause = min(pause, lane.feed.poll())
                except (Forbidden, Gone) as failure:
                    raise self._expired(failure) from failure
        return pause

    def _check_time(self) -> None:
        mark = self._reel.mark
        if mark and mark.live_since and time.time() - mark.live_since > self._limits.live_seconds:
            hours = self._limits.live_seconds / 3600
            raise BadSource(f"The live stream didn't end within {hours:.2g} hours, the limit (MAX_LIVE_HOURS).")

    def _ask(self) -> None:
        room = self._crew.window - sum(len(lane.under_way) for lane in self._lanes)
        while room > 0 and (waiting := [lane for lane in self._lanes if lane.feed.pending]):
            # The one that is behind: the beginning of a live stream's sound leaves its playlist as soon as the
            # pictures' does.
            self._ask_next(min(waiting, key=lambda lane: lane.position))
            room -= 1

    def _ask_next(self, lane: _Lane) -> None:
        segment = lane.feed.pending.popleft()
        lane.number += 1
        total = f" of {lane.feed.total}" if lane.feed.total is not None else ""
        kind = "Segment" if lane is self._lanes[0] else "Audio segment"
        name = f"{kind} {lane.number}{total}"
        lane.under_way.append(self._asked(segment, name, with_init=lane.begins_group(segment)))
        lane.last = segment
        lane.position += segment.duration

    def _asked(self, segment: Segment, name: str, *, with_init: bool) -> _UnderWay:
        init: Future[bytes] | None = None
        if segment.init is not None and with_init:
            fetched = self._crew.fetch(
                segment.init, segment.sequence, f"The beginning (EXT-X-MAP) of {name.lower()}", What.INIT
            )
            init = _content(fetched)
        return _UnderWay(segment, name, self._crew.fetch(segment.resource, segment.sequence, name), init)

    def _take(self, lane: _Lane) -> None:
        head = lane.under_way[0]
        try:
            init = head.init.result() if head.init else b""
            fetched = head.future.result()
        except Refused as refused:
            lane.under_way[0] = self._asked_again(lane, head, refused)
            return
        lane.under_way.popleft()
        with fetched.file:
            self._check_kind(lane, head, fetched.kind)
            self._reel.write(lane.feed.track, head.segment, fetched, init)
        lane.feed.wrote(head.segment)
        self._wrote(lane.feed.track)
        if self._reel.mark:
            check_size(self._reel.mark.size, self._limits)

    def _check_kind(self, lane: _Lane, head: _UnderWay, kind: str) -> None:
        track = lane.feed.track
        if head.segment.init is not None:
            expected = "fmp4"
        elif track.begins_group(head.segment):
            expected = kind if kind in _TRACK_KINDS and kind != "fmp4" else "mpegts"
        else:
            expected = track.groups[-1].container
        if kind != expected:
            found = _TRACK_KINDS.get(kind, kind)
            raise BadSource(f"{head.name} is {found}, but {_TRACK_KINDS[expected]} was expected.")

    def _asked_again(self, lane: _Lane, head: _UnderWay, refused: Refused) -> _UnderWay:
        """The same segment by a newly signed URL, if the playlist has one now; else the refusal's failure."""
        feed = lane.feed
        if feed.newest(head.segment) == head.segment and refused.status != 404 and feed.refreshes == 0:
            try:
                feed.refresh()
            except (Forbidden, Gone) as failure:
                raise self._expired(failure) from failure
        newest = feed.newest(head.segment)
        if newest == head.segment:
            raise self._final(head, refused) from refused
        return self._asked(newest, head.name, with_init=head.init is not None)

    def _final(self, head: _UnderWay, refused: Refused) -> Failure:
        signed = "?" in head.segment.resource.url
        if refused.status == 404 or (refused.status == 410 and not signed):
            return BadSource(f"{head.name} is missing at the source. {refused}")
        return self._expired(Forbidden(f"{head.name}: {refused}"))

    def _expired(self, failure: Failure) -> Failure:
        """What was given before and isn't any more may be had under a new URL."""
        if self._reel.mark and self._reel.mark.size:
            return ExpiredUrl(f"{failure} It was given before, so its URL's time may be over.")
        return failure


def _seconds(track: TrackMark) -> float:
    return math.fsum(group.duration for group in track.groups)


def _identity(segment: Segment) -> list[object] | None:
    return segment.init.identity() if segment.init else None


def _content(fetched: Future[Fetched]) -> Future[bytes]:
    """The bytes of a small file that is under way."""
    content: Future[bytes] = Future()

    def read(done: Future[Fetched]) -> None:
        if error := done.exception():
            content.set_exception(error)
            return
        with done.result().file as file:
            content.set_result(file.read())

    fetched.add_done_callback(read)
    return content
