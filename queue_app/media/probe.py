"""What is in a media file, as ffprobe tells it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from queue_app.failures import BadSource
from queue_app.media.containers import SNIFF_BYTES, container_of
from queue_app.media.ffmpeg import CancelCheck, Tools, find_tools, local_input, run

_PROBE_SECONDS = 120.0


@dataclass(frozen=True)
class StreamInfo:
    """One stream. What the file doesn't tell is None."""

    index: int
    kind: str
    """'video', 'audio', 'subtitle', 'data', 'attachment', or 'picture' for a cover."""
    codec: str
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    channels: int | None = None
    language: str | None = None
    duration: float | None = None
    """Seconds."""


@dataclass(frozen=True)
class MediaInfo:
    """A file: its container as in `containers.container_of`, seconds, bytes, bits per second, streams."""

    container: str
    duration: float
    size: int
    bit_rate: int | None
    streams: tuple[StreamInfo, ...]

    def of_kind(self, kind: str) -> tuple[StreamInfo, ...]:
        """The streams of one kind."""
        return tuple(stream for stream in self.streams if stream.kind == kind)

    def as_json(self) -> dict[str, Any]:
        """For a JSON column; `from_json` reads it."""
        return {**asdict(self), "streams": [asdict(stream) for stream in self.streams]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> MediaInfo:
        """The inverse of `as_json`. Raises KeyError or TypeError when `value` isn't its output."""
        return cls(**{**value, "streams": tuple(StreamInfo(**stream) for stream in value["streams"])})


def probe(path: Path, *, tools: Tools | None = None, cancelled: CancelCheck | None = None) -> MediaInfo:
    """What is in the local file `path`. Raises BadSource when it is no media, Transient after two minutes."""
    tools = tools or find_tools()
    args = [tools.ffprobe, "-hide_banner", "-v", "error", "-show_format", "-show_streams", "-of", "json"]
    result = run([*args, *local_input(path)], _PROBE_SECONDS, cancelled)
    container = _container(path)
    try:
        found = json.loads(result.stdout or b"{}")
    except ValueError:
        found = {}
    if result.returncode != 0 or container is None or not found.get("streams"):
        raise BadSource(f"The file is not a video that can be read. {result.stderr[-300:]}".strip())
    file = found.get("format", {})
    return MediaInfo(
        container=container,
        duration=_number(file.get("duration")) or 0.0,
        size=path.stat().st_size,
        bit_rate=_whole(file.get("bit_rate")),
        streams=tuple(_stream(raw) for raw in found["streams"]),
    )


def _container(path: Path) -> str | None:
    with path.open("rb") as file:
        return container_of(file.read(SNIFF_BYTES))


def _stream(raw: dict[str, Any]) -> StreamInfo:
    kind = str(raw.get("codec_type", "data"))
    if raw.get("disposition", {}).get("attached_pic"):
        kind = "picture"
    return StreamInfo(
        index=int(raw["index"]),
        kind=kind,
        codec=str(raw.get("codec_name", "unknown")),
        width=_whole(raw.get("width")),
        height=_whole(raw.get("height")),
        fps=_rate(raw.get("avg_frame_rate")),
        channels=_whole(raw.get("channels")),
        language=raw.get("tags", {}).get("language"),
        duration=_number(raw.get("duration")),
    )


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _rate(value: Any) -> float | None:
    try:
        return float(Fraction(value)) or None
    except (TypeError, ValueError, ZeroDivisionError):
        return None
