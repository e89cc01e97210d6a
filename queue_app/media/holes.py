"""Where a video's time runs on without data, and whether that is damage.

What looks like a hole can be meant: slides stand for ten seconds, a screen recording has no picture while nothing
moves, Opus falls silent. What can't be meant is video *and* sound stopping at once, or the sound of a playlist, whose
segments follow without a gap (RFC 8216 §3). So:

| who has the hole           | playlist (`segments`)                | direct file                                 |
|----------------------------|--------------------------------------|---------------------------------------------|
| all at once, audio among   | damage                               | damage, unless the sound may pause and the  |
| them                       |                                      | video does not go on with a key frame       |
| video, there is no sound   | damage if a key frame follows        | told                                        |
| one audio stream alone     | damage from 0.8 s, if it can't pause | told                                        |
| video alone, sound goes on | told                                 | told                                        |

"Told" is a warning for the operator. A stretch that the caller accepts is always only told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from queue_app.media.packets import SHORTEST_HOLE, Gap, Timeline, Track

_SHORTEST_AUDIO_HOLE = 0.8  # An advertisement's sound is often somewhat shorter than its picture.
_PAUSING_CODECS = {"opus", "amr_nb", "amr_wb", "speex", "evrc", "qcelp"}  # They have discontinuous transmission.
_ACCEPTED_SLACK = 1.0


@dataclass(frozen=True)
class Segments:
    """The video was a playlist of segments, which follow each other without a gap."""

    accepted: tuple[tuple[float, float], ...] = ()
    """Except here: from, to, in seconds from the video's beginning. So are joints of discontinuities."""


@dataclass(frozen=True)
class Hole:
    """A stretch without data."""

    start: float
    """Seconds from the video's beginning."""
    seconds: float
    streams: tuple[int, ...]
    damage: bool

    def sentence(self) -> str:
        """For the operator."""
        where = f"{self.seconds:.1f} s from {clock(self.start)} on"
        return f"{where} in stream {', '.join(str(index) for index in self.streams)}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as players show them."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def find_holes(timeline: Timeline, segments: Segments | None) -> list[Hole]:
    """All holes, those of one stream and those of several, in order of time. None is a direct file."""
    segmented, accepted = segments is not None, segments.accepted if segments else ()
    videos, audios = timeline.of_kind("video"), timeline.of_kind("audio")
    gaps = {track.stream.index: list(track.gaps()) for track in (*videos, *audios)}
    common = _common([_absences(track, gaps[track.stream.index]) for track in (*videos, *audios)])
    found = []
    for gap in common:
        alive = [track for track in (*videos, *audios) if track.first < gap.end and gap.start < track.end]
        if alive:
            found.append(_hole(timeline, gap, alive, _is_damage(gap, alive, segmented=segmented)))
    for track in (*videos, *audios):
        for gap in gaps[track.stream.index]:
            if not any(gap.start < other.end and other.start < gap.end for other in common):
                damage = segmented and track.stream.kind == "audio" and not _may_pause(track)
                damage = damage and gap.end - gap.start >= _SHORTEST_AUDIO_HOLE
                found.append(_hole(timeline, gap, [track], damage))
    judged = (_unless_accepted(hole, accepted) for hole in found)
    return sorted(judged, key=lambda hole: (hole.start, hole.streams))


def _is_damage(gap: Gap, alive: list[Track], *, segmented: bool) -> bool:
    audios = [track for track in alive if track.stream.kind == "audio"]
    if len(audios) == len(alive):
        return segmented and not all(_may_pause(track) for track in audios)
    if not audios:
        return segmented and gap.key
    return segmented or gap.key or not all(_may_pause(track) for track in audios)


def _may_pause(track: Track) -> bool:
    return track.stream.codec in _PAUSING_CODECS


def _absences(track: Track, gaps: Iterable[Gap]) -> list[Gap]:
    """A track's gaps, and the time before it begins and after it ends."""
    return [Gap(float("-inf"), track.first, False), *gaps, Gap(track.end, float("inf"), False)]


def _common(absences: list[list[Gap]]) -> list[Gap]:
    """Where all tracks are absent for half a second at once. `key` is the first track's, which is a video."""
    if not absences:
        return []
    common = absences[0]
    for others in absences[1:]:
        common = list(_intersection(common, others))
    return [gap for gap in common if gap.end - gap.start > SHORTEST_HOLE and abs(gap.end - gap.start) < float("inf")]


def _intersection(left: list[Gap], right: list[Gap]) -> Iterator[Gap]:
    n = m = 0
    while n < len(left) and m < len(right):
        start, end = max(left[n].start, right[m].start), min(left[n].end, right[m].end)
        if start < end:
            yield Gap(start, end, left[n].key)
        if left[n].end < right[m].end:
            n += 1
        else:
            m += 1


def _hole(timeline: Timeline, gap: Gap, tracks: list[Track], damage: bool) -> Hole:
    streams = tuple(track.stream.index for track in tracks)
    return Hole(round(gap.start - timeline.first, 3), round(gap.end - gap.start, 3), streams, damage)


def _unless_accepted(hole: Hole, accepted: Sequence[tuple[float, float]]) -> Hole:
    for start, end in accepted:
        if start - _ACCEPTED_SLACK <= hole.start and hole.start + hole.seconds <= end + _ACCEPTED_SLACK:
            return Hole(hole.start, hole.seconds, hole.streams, damage=False)
    return hole
