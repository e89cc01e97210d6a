"""Do a video's streams last as long as they should?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from queue_app.failures import BadSource
from queue_app.media.packets import Timeline, Track
from queue_app.media.streams import MediaInfo

# Their Duration is written by the muxer; elsewhere it is ffmpeg's guess from the bit rate.
_TELLS_DURATION = {"mp4", "mov", "matroska", "webm"}
_FEW_PICTURES = 25
# The first pictures of a stream cut in a group have such times; so has TrueHD, 1200 packets a second, in Matroska,
# which counts milliseconds.
_FEW_REPEATS = 10
_FINER_THAN_MATROSKA = 0.002


@dataclass(frozen=True)
class _Tolerance:
    """Seconds at the beginning and the end of a stream that others may have alone."""

    told: float
    refused: float


def check_duration(found: float, expected: float | None, what: str) -> None:
    """Raise BadSource when `found` deviates from `expected` seconds by more than 1 s and 2 %.

    That much is what rounded EXTINF values amount to. None and 0 are no announcement.
    """
    if expected and abs(found - expected) > max(1.0, 0.02 * expected):
        change = "parts are missing" if found < expected else "parts are there twice, or others were added"
        raise BadSource(f"{what} {found:.1f} s long, but the source announced {expected:.1f} s: {change}.")


def check_lengths(timeline: Timeline, info: MediaInfo, *, segmented: bool) -> list[str]:
    """Raise BadSource when a stream is cut off; sentences about smaller deviations.

    The streams of a playlist (`segmented`) begin and end together, within 1.5 s or 2 %, 10 s at most. In a direct file
    sound and picture may begin and end as they like, but a video that ends 30 s and 10 % before the sound is cut off,
    unless it has no more than 25 pictures, as a cover that stands for a song.
    """
    span = timeline.end - timeline.first
    warnings = [_against_the_container(timeline, info, span)]
    # MP4's last packet is said to last as long as the one before it, which may have been a slide.
    sure_end = max(min(track.end, track.last + track.longest_usual) for track in timeline.timed)
    for track in timeline.timed:
        tolerance = _tolerance(track, span, segmented=segmented)
        for seconds, where in ((track.first - timeline.first, "begins"), (sure_end - track.end, "ends")):
            moment = "after" if where == "begins" else "before"
            sentence = (
                f"The {track.stream.kind} (stream {track.stream.index}) {where} {seconds:.1f} s {moment} the rest"
            )
            if seconds > tolerance.refused and (segmented or where == "ends"):
                raise BadSource(f"{sentence}: parts of it are missing.")
            if seconds > tolerance.told:
                warnings.append(f"{sentence}.")
    return [*filter(None, warnings), *_about_order(timeline)]


def _tolerance(track: Track, span: float, *, segmented: bool) -> _Tolerance:
    told = max(1.0, min(0.02 * span, 10.0))
    if segmented:
        # A video that stood still before, while its sound went on, may do so at its end.
        still = max((gap.end - gap.start for gap in track.gaps()), default=0.0) if track.stream.kind == "video" else 0.0
        return _Tolerance(told, max(1.5, told, still))
    cuttable = track.stream.kind == "video" and track.packets > _FEW_PICTURES
    return _Tolerance(told, max(30.0, 0.1 * span) if cuttable else float("inf"))


def _against_the_container(timeline: Timeline, info: MediaInfo, span: float) -> str:
    missing = info.duration - span
    if info.container not in _TELLS_DURATION or missing <= max(1.0, 0.02 * info.duration):
        return ""
    sentence = f"The file says that it lasts {info.duration:.1f} s, but its video and sound last {span:.1f} s"
    # Subtitles and data may last longer than what they belong to.
    others = len(timeline.tracks) < len(info.streams)
    if not others and missing > max(2.0, 0.05 * info.duration):
        raise BadSource(f"{sentence}: parts are missing.")
    return f"{sentence}."


def _about_order(timeline: Timeline) -> Iterator[str]:
    for track in timeline.tracks:
        name = f"The {track.stream.kind} (stream {track.stream.index})"
        if track.backward:
            yield f"{name} jumps back in time {track.backward} times."
        if track.repeated > _FEW_REPEATS and track.median > _FINER_THAN_MATROSKA:
            yield f"{name} has {track.repeated} packets with the time of the one before."
        if not track.packets:
            yield f"{name} has no data at all."
