"""Decoding a video's streams, all or in windows, for what ffmpeg has to say about them."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from queue_app.failures import BadSource
from queue_app.media.complaints import Complaints
from queue_app.media.ffmpeg import CancelCheck, Tools, local_input, run
from queue_app.media.streams import MediaInfo, StreamInfo

# ffmpeg's own decoder of that name only drives a graphics card; libdav1d and libaom do the work themselves.
_NEEDS_HARDWARE = {"av1"}
_HARDWARE = ("_v4l2m2m", "_cuvid", "_qsv", "_amf", "_mediacodec")


@dataclass(frozen=True)
class Window:
    """A part of a video, in seconds from its beginning. A length of None is its end."""

    start: float
    length: float | None


@dataclass(frozen=True)
class Decoded:
    """What was decoded."""

    streams: tuple[int, ...]
    windows: int
    """0 is everything."""
    pictures: int
    """Of the first video stream."""
    seconds: float
    """Of video, added over the windows."""


def windows(duration: float, count: int, length: float) -> tuple[Window, ...]:
    """Beginning, end and `count` - 2 parts spread between them, of `length` seconds each; () if that is nearly all."""
    if count < 2 or duration <= 2 * count * length:
        return ()
    step = (duration - length) / (count - 1)
    inner = [Window(round(n * step, 3), length) for n in range(count - 1)]
    return (*inner, Window(round(duration - length, 3), None))


def decodable(info: MediaInfo, tools: Tools) -> tuple[StreamInfo, ...]:
    """The video and audio streams that this ffmpeg has a decoder for."""
    known = _decoders(tools.ffmpeg)
    wanted = (stream for stream in info.streams if stream.kind in {"video", "audio"})
    return tuple(stream for stream in wanted if stream.codec in known)


def decode(
    path: Path,
    streams: Sequence[StreamInfo],
    window: Window | None,
    complaints: Complaints,
    *,
    tools: Tools,
    timeout: float,
    cancelled: CancelCheck | None,
) -> Decoded:
    """Decode `streams` of the file `path`, in full or in one window, and gather what ffmpeg says in `complaints`.

    Raises BadSource when ffmpeg gives up, Transient after `timeout` seconds, and what `cancelled` raises.
    """
    progress: dict[str, str] = {}

    def take(lines: list[str]) -> None:
        progress.update((name, value) for name, _, value in (line.partition("=") for line in lines))

    args = [tools.ffmpeg, "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-progress", "pipe:1", "-nostats"]
    args += ["-filter_threads", "1", "-threads", str(tools.caps.threads), "-max_pixels", str(tools.caps.max_pixels)]
    args += _seek(window) + local_input(path)
    for stream in streams:
        args += ["-map", f"0:{stream.index}"]
    args += ["-fps_mode", "passthrough", "-f", "null", "-"]
    result = run(args, timeout, cancelled, caps=tools.caps, on_output=take, on_complaints=complaints.take)
    if result.returncode != 0:
        reason = complaints.first() or "it can't be decoded to its end"
        raise BadSource(f"The video is damaged: {reason}", details=result.stderr)
    return Decoded(
        streams=tuple(stream.index for stream in streams),
        windows=0 if window is None else 1,
        pictures=_whole(progress.get("frame")),
        seconds=max(0.0, _whole(progress.get("out_time_us")) / 1e6),
    )


def _seek(window: Window | None) -> list[str]:
    if window is None:
        return []
    length = [] if window.length is None else ["-t", str(window.length)]
    return ["-ss", str(window.start), *length]


def _whole(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"\s*-?\d+\s*", text) else 0


@functools.cache
def _decoders(ffmpeg: str) -> frozenset[str]:
    """Names of the codecs that a build can decode without special hardware."""
    listing = subprocess.run([ffmpeg, "-hide_banner", "-decoders"], capture_output=True, check=False, timeout=60).stdout
    known = set()
    for line in listing.decode("utf-8", "replace").splitlines():
        decoder = re.match(r" [VA][.A-Z]{5} (\S+)", line)
        codec = re.search(r"\(codec (\S+)\)", line)
        if decoder and not decoder[1].endswith(_HARDWARE) and (codec or decoder[1] not in _NEEDS_HARDWARE):
            known.add(codec[1] if codec else decoder[1])
    return frozenset(known)
