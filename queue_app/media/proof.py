"""Is this file a whole, playable video? Nothing becomes `ready` without it (DESIGN, invariant 4).

What each mode finds when the source announced nothing (`tests/unit/test_damage.py` checks each line):

| damage                                                          | off | sampled        | full |
|-----------------------------------------------------------------|-----|----------------|------|
| a web page, JSON, zeros, no video, no pictures, no index        | yes | yes            | yes  |
| MP4, QuickTime or Matroska cut off; MPEG-TS cut within a packet | yes | yes            | yes  |
| an MP4 index that points outside the data                       | yes | yes            | yes  |
| MPEG-TS with a stretch that holds no packets                    | yes | yes            | yes  |
| MPEG-TS with packets missing or cut between two                 | no  | yes            | yes  |
| a stretch of zeros in MP4 or Matroska; another file's index     | no  | yes            | yes  |
| a fragment missing in the middle, a hole in all streams         | no  | yes            | yes  |
| some wrong bytes in a picture or a piece of sound               | no  | in its windows | yes  |
| wrong bytes in AV1 where ffmpeg has no decoder for it           | no  | no             | no   |
| the last fragments missing                                      | no  | no             | no   |

The last line, and whatever makes a video shorter, every mode finds when the duration was announced.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from queue_app.failures import BadSource
from queue_app.media.complaints import Complaints
from queue_app.media.decoding import Decoded, Window, decodable, decode, windows
from queue_app.media.ffmpeg import CancelCheck, Tools, find_tools
from queue_app.media.holes import Segments, find_holes
from queue_app.media.lengths import check_duration, check_lengths
from queue_app.media.packets import Timeline, read_packets
from queue_app.media.report import ProofReport, first_holes, track_reports, with_bit_rates
from queue_app.media.streams import MediaInfo, StreamInfo
from queue_app.media.structure import check_structure

PROOF_SECONDS = 3600.0
FULL, SAMPLED, OFF = "full", "sampled", "off"
MODES = (FULL, SAMPLED, OFF)

_WINDOWS, _WINDOW_SECONDS = 8, 4.0
_NO_INDEX = {"mpegts", "mpeg", "ogg", "flv"}
_MOST_WARNED_HOLES = 10
_HASH_BYTES = 1024 * 1024


@dataclass(frozen=True)
class _Run:
    """What each step of one proof needs."""

    path: Path
    info: MediaInfo
    tools: Tools
    cancelled: CancelCheck | None
    deadline: float

    def left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())


def prove(
    path: Path,
    info: MediaInfo,
    *,
    expected_duration: float | None,
    expected_size: int | None = None,
    mode: str = FULL,
    segments: Segments | None = None,
    tools: Tools | None = None,
    timeout: float = PROOF_SECONDS,
    cancelled: CancelCheck | None = None,
) -> ProofReport:
    """What there is to know of the file `path`, probed as `info`. Raises BadSource unless it is whole.

    `mode` is 'full' (every packet read, every video and audio stream decoded to its end), 'sampled' (every packet
    read, eight windows of four seconds decoded, and all if one of them isn't clean) or 'off' (size, structure and
    duration only). `expected_duration` in seconds is what the source announced: the sum of a playlist's segments, or
    the duration probed before remuxing; `expected_size` in bytes. `segments` says that the video was a playlist,
    whose streams have no holes.
    Raises Transient after `timeout` seconds, and what `cancelled` raises.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}, not one of {', '.join(MODES)}")
    started = time.monotonic()
    run = _Run(path, info, tools or find_tools(), cancelled, started + timeout)
    _check_outside(run, expected_size, expected_duration, off=mode == OFF)
    report = ProofReport(
        mode=mode,
        seconds=0.0,
        expected_size=expected_size,
        size=info.size,
        expected_duration=expected_duration,
        duration=info.duration,
        span=None,
        tracks=(),
        holes=(),
        decoded=None,
        not_decoded=(),
        warnings=(),
        harmless={},
        media=info,
    )
    if mode != OFF:
        report = _with_packets(run, report, segments)
        report = _with_decoding(run, report)
    return replace(report, seconds=round(time.monotonic() - started, 2))


def sha256_file(path: Path, progress: Callable[[int, int | None], None] | None = None) -> str:
    """The sha256 of a file in hex. `progress` is told bytes done and in all, and may raise to stop."""
    digest = hashlib.sha256()
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()


def _check_outside(run: _Run, expected_size: int | None, expected_duration: float | None, *, off: bool) -> None:
    size = run.path.stat().st_size
    if expected_size is not None and size != expected_size:
        raise BadSource(f"The file is {size} bytes long, but the source announced {expected_size} bytes.")
    if not run.info.of_kind("video"):
        raise BadSource("The file has no video stream.")
    check_structure(run.path, run.info.container)
    if run.info.duration > 0:
        check_duration(run.info.duration, expected_duration, "The video is")
    elif off or run.info.container in {"mp4", "mov"}:
        # Matroska written live doesn't tell one; its packets do.
        raise BadSource("The video has no duration: it is empty or damaged.")


def _with_packets(run: _Run, report: ProofReport, segments: Segments | None) -> ProofReport:
    timeline = read_packets(run.path, run.info, run.tools, run.left(), run.cancelled)
    segmented = segments is not None
    _check_packets(timeline, segmented=segmented)
    span = timeline.end - timeline.first
    if span <= 0:
        raise BadSource("The video has no duration: it is empty or damaged.")
    check_duration(span, report.expected_duration, "The video's data is")
    warnings = check_lengths(timeline, run.info, segmented=segmented)
    holes = find_holes(timeline, segments)
    for hole in holes:
        if hole.damage:
            raise BadSource(f"Parts of the video are missing: there is no data for {hole.sentence()}.")
    shown = [f"No data for {hole.sentence()}." for hole in holes[:_MOST_WARNED_HOLES]]
    if len(holes) > _MOST_WARNED_HOLES:
        shown.append(f"And {len(holes) - _MOST_WARNED_HOLES} more such stretches.")
    return replace(
        report,
        span=round(span, 3),
        tracks=track_reports(timeline),
        holes=first_holes(holes),
        warnings=(*warnings, *shown),
        harmless=dict(timeline.complaints.harmless),
        media=with_bit_rates(run.info, timeline),
    )


def _check_packets(timeline: Timeline, *, segmented: bool) -> None:
    if timeline.complaints.lines:
        raise _damaged(timeline.complaints)
    if not timeline.of_kind("video"):
        raise BadSource("The file announces a video, but holds not a single picture.")
    for track in timeline.tracks:
        if track.corrupt:
            raise BadSource(
                f"The video is damaged: {track.corrupt} packets of its {track.stream.kind} (stream "
                f"{track.stream.index}) arrived incomplete."
            )
        if segmented and not track.packets:
            raise BadSource(f"The file announces {track.stream.kind} (stream {track.stream.index}), but holds none.")


def _with_decoding(run: _Run, report: ProofReport) -> ProofReport:
    streams = decodable(run.info, run.tools)
    known = {stream.index for stream in streams}
    unknown = [s for s in run.info.streams if s.kind in {"video", "audio"} and s.index not in known]
    warnings = [
        f"The {stream.kind} (stream {stream.index}) was read to its end but not decoded: this ffmpeg has no decoder "
        f"for {stream.codec}. The setting FFMPEG can name one that has."
        for stream in unknown
    ]
    parts, complaints = _decode_parts(run, streams, _windows(report)) if streams else ([], Complaints())
    if complaints.lines:
        raise _damaged(complaints)
    if any(stream.kind == "video" for stream in streams) and not sum(part.pictures for part in parts):
        raise BadSource("The video is damaged: not a single picture of it can be decoded.")
    return replace(
        report,
        decoded=_sum(parts),
        not_decoded=tuple(stream.index for stream in unknown),
        warnings=(*report.warnings, *warnings),
        harmless={**report.harmless, **complaints.harmless},
    )


def _decode_parts(
    run: _Run, streams: Sequence[StreamInfo], parts: Sequence[Window]
) -> tuple[list[Decoded], Complaints]:
    """Decode `parts`, or everything if there are none or if a part gives cause to complain."""
    complaints = Complaints()
    work = functools.partial(decode, run.path, streams, tools=run.tools, cancelled=run.cancelled)
    with contextlib.suppress(BadSource):
        done = [work(part, complaints, timeout=run.left()) for part in parts]
        if done and not complaints.lines:
            return done, complaints
    # A decoder that begins in the middle may miss pictures that are all there: decoding from the beginning tells.
    complaints = Complaints()
    return [work(None, complaints, timeout=run.left())], complaints


def _windows(report: ProofReport) -> Sequence[Window]:
    """() is the whole file, also where there is no index to seek by."""
    if report.mode == FULL or report.media.container in _NO_INDEX:
        return ()
    return windows(report.span or 0.0, _WINDOWS, _WINDOW_SECONDS)


def _sum(parts: Sequence[Decoded]) -> Decoded | None:
    if not parts:
        return None
    return Decoded(
        streams=parts[0].streams,
        windows=sum(part.windows for part in parts),
        pictures=sum(part.pictures for part in parts),
        seconds=round(sum(part.seconds for part in parts), 3),
    )


def _damaged(complaints: Complaints) -> BadSource:
    return BadSource(f"The video is damaged: {complaints.first()}", details=complaints.text())
