"""Is this file a whole, playable video? Nothing becomes `ready` without it (DESIGN, invariant 4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from queue_app.failures import BadSource
from queue_app.media.boxes import check_boxes
from queue_app.media.ffmpeg import CancelCheck, Tools, find_tools, local_input, run
from queue_app.media.probe import MediaInfo

PROOF_SECONDS = 3600.0
_HASH_BYTES = 1024 * 1024


def prove(
    path: Path,
    info: MediaInfo,
    *,
    expected_duration: float | None,
    decode: bool = False,
    tools: Tools | None = None,
    timeout: float = PROOF_SECONDS,
    cancelled: CancelCheck | None = None,
) -> None:
    """Raise BadSource unless the file `path`, probed as `info`, is whole.

    Every packet of its video and audio is read, in about one second for each hour of video.
    `expected_duration` in seconds is what the source announced: the sum of a playlist's segments, or the
    duration probed before remuxing. Raises Transient after `timeout` seconds, and what `cancelled` raises.
    """
    if not info.of_kind("video"):
        raise BadSource("The file has no video stream.")
    if info.duration <= 0:
        raise BadSource("The video has no duration: it is empty or damaged.")
    if info.container in {"mp4", "mov"}:
        check_boxes(path)
    _check_duration(info.duration, expected_duration, "The video is")
    span = _read_to_the_end(path, tools or find_tools(), timeout, cancelled, decode=decode)
    _check_duration(span, expected_duration, "The video's data is")


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


def _check_duration(found: float, expected: float | None, what: str) -> None:
    if expected is not None and abs(found - expected) > max(1.0, 0.02 * expected):
        raise BadSource(f"{what} {found:.1f} s long, but the source announced {expected:.1f} s: parts are missing.")


def _read_to_the_end(path: Path, tools: Tools, timeout: float, cancelled: CancelCheck | None, *, decode: bool) -> float:
    """Seconds that the packets span. Any word of complaint from ffmpeg is a failure."""
    options = ["-hide_banner", "-nostdin", "-v", "error", "-xerror", "-progress", "pipe:1"]
    output = ["-map", "0:V", "-map", "0:a?", *([] if decode else ["-c", "copy"]), "-f", "null", "-"]
    result = run([tools.ffmpeg, *options, *local_input(path), *output], timeout, cancelled)
    if result.returncode != 0 or result.stderr:
        raise BadSource(f"The video is damaged: {result.stderr[-300:] or 'it can not be read to its end'}")
    times = re.findall(rb"^out_time_us=(-?\d+)", result.stdout, re.MULTILINE)
    return int(times[-1]) / 1e6 if times else 0.0
