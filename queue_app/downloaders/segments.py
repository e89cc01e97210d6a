"""The media playlist (RFC 8216 §4.3.2, §4.3.3): which bytes make up a track, in which order, and how to read them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field

from queue_app.downloaders.base import Limits
from queue_app.downloaders.keys import Key, read_key
from queue_app.downloaders.playlist import Line, Playlist
from queue_app.failures import BadSource

# Reading on without these would give a video with holes or noise that looks whole.
_UNSUPPORTED = {"EXT-X-SKIP": "delta updates", "EXT-X-I-FRAMES-ONLY": "I-frames only"}
_MOST = 2**62


@dataclass(frozen=True)
class Resource:
    """Bytes to fetch: a whole file, or `length` of it from `start`."""

    url: str
    start: int = 0
    length: int | None = None
    """None: to the end of the file."""
    key: Key | None = None

    def identity(self) -> list[object]:
        """What stays the same when the URL is signed anew."""
        return [self.url.partition("?")[0], self.start, self.length]


@dataclass(frozen=True)
class Segment:
    """One segment of a track."""

    resource: Resource
    duration: float
    """Seconds (EXTINF)."""
    sequence: int
    """Its media sequence number."""
    init: Resource | None
    """The beginning that it needs (EXT-X-MAP)."""
    discontinuity: bool
    """Does it begin a new timeline?"""

    def digest(self, before: str) -> str:
        """A sha256 in hex of this and all segments before it, whose own is `before`."""
        init = self.init.identity() if self.init else None
        content = [before, self.resource.identity(), self.duration, init, self.discontinuity]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class MediaPlaylist:
    """A track as far as it is known."""

    segments: tuple[Segment, ...]
    ended: bool
    """False for a live stream: more may come."""
    target_duration: float
    """Seconds."""

    @property
    def duration(self) -> float:
        """Seconds of what is listed."""
        return math.fsum(segment.duration for segment in self.segments)


@dataclass
class _Reader:
    """What the tags so far say of the segments to come."""

    playlist: Playlist
    limits: Limits
    segments: list[Segment] = field(default_factory=list)
    first: int = 0
    target: float = 0.0
    key: Key | None = None
    init: Resource | None = None
    duration: float | None = None
    discontinuity: bool = False
    range: tuple[int, int | None] | None = None
    """Length and start of the next segment."""
    gap: bool = False
    last: tuple[str, int] = ("", 0)
    """The file, and the byte after the last range in it."""

    def take(self, line: Line) -> None:
        if line.tag in _UNSUPPORTED:
            raise BadSource(f"The playlist uses {_UNSUPPORTED[line.tag]} ({line.tag}), which are not supported.")
        if not line.tag:
            self._segment(line.value)
        elif line.tag == "EXTINF":
            self._extinf(line.value)
        elif line.tag == "EXT-X-BYTERANGE":
            self.range = _byte_range(line.value)
        elif line.tag == "EXT-X-DISCONTINUITY":
            self.discontinuity = True
        elif line.tag == "EXT-X-GAP":
            self.gap = True
        else:
            self._setting(line)

    def _setting(self, line: Line) -> None:
        if line.tag == "EXT-X-KEY":
            self.key = read_key(self.playlist.attributes(line), self.playlist.absolute)
        elif line.tag == "EXT-X-MAP":
            self.init = self._map(self.playlist.attributes(line))
        elif line.tag == "EXT-X-DEFINE":
            self.playlist.variables.define(self.playlist.attributes(line))
        elif line.tag == "EXT-X-MEDIA-SEQUENCE":
            self.first = _whole(line.value)
        elif line.tag == "EXT-X-TARGETDURATION":
            self.target = _seconds(line.value)

    def _extinf(self, value: str) -> None:
        if self.duration is not None:
            raise BadSource("The playlist is malformed: not every EXTINF has its segment.")
        if len(self.segments) >= self.limits.max_segments:
            raise BadSource(f"The playlist has more than {self.limits.max_segments} segments.")
        self.duration = _seconds(value.partition(",")[0])

    def _segment(self, uri: str) -> None:
        number = len(self.segments) + 1
        if self.duration is None:
            raise BadSource(f"The playlist is malformed: segment {number} has no duration (EXTINF).")
        if self.gap:
            raise BadSource(f"The source says that segment {number} is missing (EXT-X-GAP).")
        url = self.playlist.absolute(uri)
        start, length = self._range_in(url, self.range)
        resource = Resource(url, start, length, self.key)
        sequence = self.first + len(self.segments)
        self.segments.append(Segment(resource, self.duration, sequence, self.init, self.discontinuity))
        self.duration, self.range, self.discontinuity = None, None, False

    def _range_in(self, url: str, wanted: tuple[int, int | None] | None) -> tuple[int, int | None]:
        """Start and length; without a start of its own, a range follows the one before it in the same file."""
        if wanted is None:
            self.last = ("", 0)
            return 0, None
        length, start = wanted
        if start is None:
            if self.last[0] != url:
                raise BadSource("The playlist is malformed: an EXT-X-BYTERANGE doesn't say where it starts.")
            start = self.last[1]
        self.last = (url, start + length)
        return start, length

    def _map(self, attributes: dict[str, str]) -> Resource:
        if not attributes.get("URI"):
            raise BadSource("The playlist is malformed: EXT-X-MAP has no URI.")
        url = self.playlist.absolute(attributes["URI"])
        if "BYTERANGE" not in attributes:
            return Resource(url, key=self.key)
        length, start = _byte_range(attributes["BYTERANGE"])
        return Resource(url, start or 0, length, self.key)


def read_media(playlist: Playlist, limits: Limits) -> MediaPlaylist:
    """The segments of a media playlist. Raises BadSource for all that can't be taken whole."""
    if playlist.is_master:
        raise BadSource("The master playlist points to another master playlist.")
    reader = _Reader(playlist, limits)
    for line in playlist:
        reader.take(line)
    if reader.duration is not None:
        raise BadSource("The playlist is malformed: not every EXTINF has its segment.")
    ended = playlist.has("EXT-X-ENDLIST")
    if not reader.segments and (ended or not reader.target):
        raise BadSource("The playlist has no segments.")
    target = reader.target or max((segment.duration for segment in reader.segments), default=0.0)
    return MediaPlaylist(tuple(reader.segments), ended, target)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < _MOST:
        raise BadSource("The playlist is malformed: a segment's duration is not a number of seconds.")
    return seconds


def _whole(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", value.strip()):
        raise BadSource("The playlist is malformed: a number in it is none.")
    return int(value)


def _byte_range(value: str) -> tuple[int, int | None]:
    """Length and start (None: where the last one ended) of "<n>[@<o>]"."""
    match = re.fullmatch(r'"?\s*([0-9]{1,18})(?:@([0-9]{1,18}))?\s*"?', value)
    if match is None or int(match[1]) == 0:
        raise BadSource("The playlist is malformed: an EXT-X-BYTERANGE is no range of bytes.")
    return int(match[1]), None if match[2] is None else int(match[2])
