"""The inventory of a media file: what `probe` finds and a row keeps."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any


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
    """Average pictures per second."""
    channels: int | None = None
    language: str | None = None
    """ISO 639-2 code as a rule; not 'und'."""
    duration: float | None = None
    """Seconds."""
    profile: str | None = None
    bit_rate: int | None = None
    """Bits per second."""
    sample_rate: int | None = None
    """Hertz."""
    channel_layout: str | None = None
    pixel_format: str | None = None
    rotation: int | None = None
    """Degrees that a player turns the picture by, counter-clockwise."""
    transfer: str | None = None
    """Transfer characteristics; 'smpte2084' and 'arib-std-b67' are HDR."""
    field_order: str | None = None
    """'progressive', or which field of an interlaced picture comes first."""

    @property
    def hdr(self) -> bool:
        """Is the picture HDR (PQ or HLG, ITU-R BT.2100)?"""
        return self.transfer in {"smpte2084", "arib-std-b67"}


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
        """The inverse of `as_json`, of any version. Raises KeyError or TypeError when `value` isn't its output."""
        known = {field.name for field in fields(StreamInfo)}
        streams = ({key: raw[key] for key in raw.keys() & known} for raw in value["streams"])
        own = {key: value[key] for key in ("container", "duration", "size", "bit_rate")}
        return cls(**own, streams=tuple(StreamInfo(**raw) for raw in streams))


def stream_from(raw: dict[str, Any]) -> StreamInfo:
    """One element of `streams` in ffprobe's JSON. Raises KeyError or ValueError when it is none."""
    tags = {str(key).lower(): value for key, value in raw.get("tags", {}).items()}
    kind = _kind(raw)
    shown = kind in {"video", "picture"}
    language = tags.get("language")
    return StreamInfo(
        index=int(raw["index"]),
        kind=kind,
        codec=_text(raw.get("codec_name")) or "unknown",
        width=_positive(raw.get("width")),
        height=_positive(raw.get("height")),
        fps=_rate(raw.get("avg_frame_rate")) if shown else None,
        channels=_positive(raw.get("channels")),
        language=None if language == "und" else language,
        duration=number(raw.get("duration")) or _clock(tags.get("duration")),
        profile=_text(raw.get("profile")),
        bit_rate=_positive(raw.get("bit_rate")) or _positive(tags.get("bps")),
        sample_rate=_positive(raw.get("sample_rate")),
        channel_layout=_text(raw.get("channel_layout")),
        pixel_format=_text(raw.get("pix_fmt")),
        rotation=_rotation(raw),
        transfer=_text(raw.get("color_transfer")),
        field_order=_text(raw.get("field_order")),
    )


def number(value: Any) -> float | None:
    """A number as ffprobe writes it, None for 'N/A' and whatever is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if abs(found) < float("inf") else None


def _kind(raw: dict[str, Any]) -> str:
    disposition = raw.get("disposition", {})
    if disposition.get("attached_pic") or disposition.get("timed_thumbnails"):
        return "picture"
    return str(raw.get("codec_type", "data"))


def _text(value: Any) -> str | None:
    return None if value in {None, "", "unknown", "N/A"} else str(value)


def _positive(value: Any) -> int | None:
    found = number(value)
    return int(found) if found and found > 0 else None


def _rate(value: Any) -> float | None:
    try:
        return float(Fraction(value)) or None
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _rotation(raw: dict[str, Any]) -> int | None:
    for data in raw.get("side_data_list", []):
        turned = number(data.get("rotation"))
        if turned:
            return int(turned)
    return None


def _clock(value: Any) -> float | None:
    """Matroska's tag DURATION, '00:01:02.500000000'."""
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", str(value or ""))
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None
