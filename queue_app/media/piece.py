"""One file of a stream's group, as `join` has to know it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from queue_app.failures import BadSource
from queue_app.media.ffmpeg import CancelCheck, Tools, run

_DEMUXERS = {"mpegts": "mpegts", "fmp4": "mov", "aac": "aac", "mp3": "mp3", "ac3": "ac3", "eac3": "eac3"}
_WRAPPING = {"mpegts", "aac", "mp3", "ac3", "eac3"}


class _Group(Protocol):
    @property
    def path(self) -> Path: ...
    @property
    def container(self) -> str: ...
    @property
    def duration(self) -> float: ...
    @property
    def start(self) -> float | None: ...


@dataclass(frozen=True)
class StreamKind:
    """What must stay the same in a track of an MP4 file."""

    kind: str
    """'video', 'audio', or another one of ffprobe."""
    codec: str
    rate: int | None = None
    """Samples per second."""
    channels: int | None = None

    def __str__(self) -> str:
        sound = f" with {self.channels} channels at {self.rate} Hz" if self.kind == "audio" else ""
        return self.codec + sound


@dataclass(frozen=True)
class Piece:
    """One file: what is in it, and when."""

    path: Path
    demuxer: str
    announced: float
    """Seconds, by the playlist."""
    start: float | None
    """Seconds of its first timestamp by the stream's clock."""
    spans: tuple[tuple[float, float] | None, ...]
    """When each stream begins and ends, in seconds after `start`; None where that can't be told."""
    wraps: bool
    """Does its clock have 33 bits?"""
    streams: tuple[StreamKind, ...]

    def of_kind(self, kind: str) -> tuple[StreamKind, ...]:
        """The streams of one kind."""
        return tuple(stream for stream in self.streams if stream.kind == kind)

    def moved_to(self, path: Path) -> Self:
        """The same as a transport stream of its pictures and sound."""
        streams = self.of_kind("video")[:1] + self.of_kind("audio")
        return replace(self, path=path, demuxer="mpegts", streams=streams, spans=(None,) * len(streams))


def opened(path: Path, demuxer: str, *, also: str = "") -> list[str]:
    """The arguments that open `path` by one demuxer of FFmpeg, and within it, if it is a list, files by `also`."""
    allowed = f"{demuxer},{also}" if also else demuxer
    local = ["-protocol_whitelist", "file", "-format_whitelist", allowed, "-f", demuxer]
    return [*local, "-i", f"file:{path.absolute()}"]


def read_piece(group: _Group, tools: Tools, timeout: float, cancelled: CancelCheck | None) -> Piece:
    """What is in a group's file. Raises BadSource when it is no media, Transient after `timeout` seconds."""
    demuxer = _DEMUXERS[group.container]
    wanted = "format=start_time:stream=codec_type,codec_name,sample_rate,channels,start_time,duration"
    arguments = [tools.ffprobe, "-hide_banner", "-v", "error", "-show_entries", wanted, "-of", "json"]
    result = run([*arguments, *opened(group.path, demuxer)], timeout, cancelled, caps=tools.caps)
    try:
        found = json.loads(result.stdout or b"{}")
    except ValueError:
        found = {}
    if result.returncode != 0 or not found.get("streams"):
        raise BadSource(f"A part of the stream can't be read. {result.stderr[-300:]}".strip())
    start = _number(found.get("format", {}).get("start_time"))
    timed = group.container in {"mpegts", "fmp4"} and start is not None
    return Piece(
        path=group.path,
        demuxer=demuxer,
        announced=group.duration,
        start=start if timed else group.start,
        spans=tuple(_span(raw, start or 0.0, demuxer) if timed else None for raw in found["streams"]),
        wraps=group.container in _WRAPPING,
        streams=tuple(_stream(raw) for raw in found["streams"]),
    )


def _span(raw: dict[str, Any], start: float, demuxer: str) -> tuple[float, float] | None:
    begin, length = _number(raw.get("start_time")), _number(raw.get("duration"))
    if begin is None or length is None:
        return None
    # Of a fragmented MP4, FFmpeg gives the time at which the last fragment ends for its duration.
    end = length if demuxer == "mov" else begin + length
    return begin - start, end - start


def _stream(raw: dict[str, Any]) -> StreamKind:
    kind = str(raw.get("codec_type", "data"))
    rate, channels = _number(raw.get("sample_rate")), _number(raw.get("channels"))
    sound = (int(rate or 0), int(channels or 0)) if kind == "audio" else (None, None)
    return StreamKind(kind, str(raw.get("codec_name", "unknown")), *sound)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
