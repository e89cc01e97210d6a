"""Every packet's time stamp, read with ffprobe: about one second for each hour or 300 MB, in flat memory."""

from __future__ import annotations

import array
import heapq
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from queue_app.failures import BadSource
from queue_app.media.complaints import Complaints
from queue_app.media.ffmpeg import CancelCheck, Tools, local_input, run
from queue_app.media.streams import MediaInfo, StreamInfo

SHORTEST_HOLE = 0.5
"""Seconds. Where HLS discontinuities were joined well, the worst gap seen was 0.093 s."""
_HOLE_INTERVALS = 8
_REORDER = 32  # Pictures come at most 16 places out of order (H.264 and HEVC, largest decoded picture buffer).
_MOST_GAPS = 200_000
_LONGEST_BUCKET = 60_000
_FIELDS = "stream_index,pts_time,dts_time,duration_time,size,flags"


@dataclass(frozen=True)
class Gap:
    """Time of one stream without a packet, in seconds of the file's own clock."""

    start: float
    end: float
    key: bool
    """Is the packet after it a key frame, as the first one of a segment is?"""


class Track:
    """What the packets of one stream tell. Times are in seconds of the file's own clock."""

    def __init__(self, stream: StreamInfo) -> None:
        self.stream = stream
        self.packets = self.bytes = self.corrupt = self.backward = self.repeated = 0
        self.first, self.last, self.end = math.inf, -math.inf, -math.inf
        self._waiting: list[tuple[float, bool]] = []
        self._shown: float | None = None
        self._decoded: float | None = None
        self._intervals: Counter[int] = Counter()
        self._gaps = array.array("d")

    def add(self, shown: float | None, decoded: float | None, lasts: float, size: int, flags: str) -> None:
        """The next packet: its presentation and decoding time, its duration, its bytes, ffprobe's flags."""
        self.packets += 1
        self.bytes += size
        self.corrupt += "C" in flags
        if decoded is not None:
            self._check_order(decoded)
        # AVI tells no presentation times.
        time = decoded if shown is None else shown
        if time is None or "D" in flags:  # cut away by an edit list
            return
        self.first, self.last = min(self.first, time), max(self.last, time)
        self.end = max(self.end, time + lasts)
        heapq.heappush(self._waiting, (time, "K" in flags))
        if len(self._waiting) > _REORDER:
            self._show(*heapq.heappop(self._waiting))

    def finish(self) -> None:
        """No packet comes any more."""
        while self._waiting:
            self._show(*heapq.heappop(self._waiting))

    @property
    def span(self) -> float:
        """Seconds from the first packet's beginning to the last one's end."""
        return max(0.0, self.end - self.first) if self.packets else 0.0

    @property
    def median(self) -> float:
        """Seconds between two packets, as a rule; to the millisecond."""
        middle = self._intervals.total() / 2
        for interval in sorted(self._intervals):
            middle -= self._intervals[interval]
            if middle <= 0:
                return interval / 1000
        return 0.0

    @property
    def longest_usual(self) -> float:
        """Seconds between two packets beyond which something is missing: half a second, or eight usual intervals."""
        return max(SHORTEST_HOLE, _HOLE_INTERVALS * self.median)

    @property
    def bit_rate(self) -> int | None:
        """Bits per second."""
        return int(self.bytes * 8 / self.span) if self.span > 0 else None

    def gaps(self) -> Iterator[Gap]:
        """Where packets are missing for longer than `longest_usual`."""
        usual, longest = self.median, self.longest_usual
        for n in range(0, len(self._gaps), 3):
            start, end, key = self._gaps[n : n + 3]
            if end - start > longest:
                # In MP4 the packet before a hole is said to last until its end: the usual interval is what it lasted.
                yield Gap(start + usual, end, bool(key))

    def _check_order(self, decoded: float) -> None:
        if self._decoded is not None:
            self.backward += decoded < self._decoded
            self.repeated += decoded == self._decoded
        self._decoded = decoded

    def _show(self, time: float, key: bool) -> None:
        if self._shown is not None and time > self._shown:
            interval = time - self._shown
            self._intervals[min(round(interval * 1000), _LONGEST_BUCKET)] += 1
            if interval > SHORTEST_HOLE and len(self._gaps) < 3 * _MOST_GAPS:
                self._gaps.extend((self._shown, time, key))
        self._shown = time


@dataclass(frozen=True)
class Timeline:
    """The packets of a file's video and audio streams."""

    tracks: tuple[Track, ...]
    complaints: Complaints

    @property
    def timed(self) -> list[Track]:
        """The tracks that have packets with a time."""
        return [track for track in self.tracks if track.end >= track.first]

    def of_kind(self, kind: str) -> list[Track]:
        """Those among them of a kind."""
        return [track for track in self.timed if track.stream.kind == kind]

    @property
    def first(self) -> float:
        """When the first of them begins, in seconds of the file's own clock; 0 if there are none."""
        return min((track.first for track in self.timed), default=0.0)

    @property
    def end(self) -> float:
        """When the last of them ends."""
        return max((track.end for track in self.timed), default=0.0)


def read_packets(path: Path, info: MediaInfo, tools: Tools, timeout: float, cancelled: CancelCheck | None) -> Timeline:
    """Read the file `path`, probed as `info`, to its end.

    Raises BadSource when ffprobe can't, Transient after `timeout` seconds, and what `cancelled` raises. What ffprobe
    complains about is in the result.
    """
    tracks = {stream.index: Track(stream) for stream in info.streams if stream.kind in {"video", "audio"}}
    complaints = Complaints()

    def take(lines: list[str]) -> None:
        for line in lines:
            _add(tracks, line)

    args = [tools.ffprobe, "-hide_banner", "-v", "error", "-show_entries", f"packet={_FIELDS}", "-of", "csv=p=0"]
    result = run(
        [*args, *local_input(path)], timeout, cancelled, caps=tools.caps, on_output=take, on_complaints=complaints.take
    )
    if result.returncode != 0:
        raise BadSource("The video is damaged: it can't be read to its end.", details=result.stderr)
    for track in tracks.values():
        track.finish()
    return Timeline(tuple(tracks.values()), complaints)


def _add(tracks: dict[int, Track], line: str) -> None:
    index, shown, decoded, lasts, size, flags = line.split(",")[:6]
    track = tracks.get(int(index))
    if track is not None:
        track.add(_time(shown), _time(decoded), _time(lasts) or 0.0, int(size), flags)


def _time(text: str) -> float | None:
    return None if text == "N/A" else float(text)
