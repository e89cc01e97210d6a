"""What is in a media file, as ffprobe tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from queue_app.failures import BadSource
from queue_app.media.caps import Caps
from queue_app.media.containers import SNIFF_BYTES, container_of, looks_like_text
from queue_app.media.ffmpeg import CancelCheck, Result, Tools, find_tools, local_input, run
from queue_app.media.streams import MediaInfo, StreamInfo, number, stream_from
from queue_app.media.structure import check_structure

__all__ = ["MediaInfo", "StreamInfo", "probe"]

_PROBE_SECONDS = 120.0


def probe(path: Path, *, tools: Tools | None = None, cancelled: CancelCheck | None = None) -> MediaInfo:
    """What is in the local file `path`.

    Raises BadSource when it is no media or has more streams or larger pictures than `tools.caps` allow, Transient after
    two minutes, and what `cancelled` raises.
    """
    tools = tools or find_tools()
    container = _container(path)
    args = [tools.ffprobe, "-hide_banner", "-v", "error", "-show_format", "-show_streams", "-of", "json"]
    result = run([*args, *local_input(path)], _PROBE_SECONDS, cancelled, caps=tools.caps)
    found = _found(result)
    if result.returncode != 0 or not found.get("streams"):
        # Why it can't be read is said better by the file's own structure.
        check_structure(path, container)
        raise BadSource("The file is not a video that can be read.", details=result.stderr)
    file = found.get("format", {})
    rate = number(file.get("bit_rate"))
    info = MediaInfo(
        container=container,
        duration=_duration(file, container),
        size=path.stat().st_size,
        bit_rate=int(rate) if rate else None,
        streams=tuple(stream_from(raw) for raw in found["streams"]),
    )
    _check_bounds(info, tools.caps)
    return info


def _container(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(SNIFF_BYTES)
    if not head:
        raise BadSource("The file is empty (0 bytes).")
    if not any(head):
        raise BadSource("The file begins with nothing but zeros: its data never arrived.")
    container = container_of(head)
    if container is None and looks_like_text(head):
        raise BadSource("The file is a web page or other text, not a video.")
    if container is None:
        raise BadSource("The file is not a video of a known format.")
    return container


def _duration(file: dict[str, Any], container: str) -> float:
    """Seconds from the first packet to the end; 0 when the file doesn't tell, as a live recording."""
    duration = number(file.get("duration")) or 0.0
    if container in {"matroska", "webm"}:
        # Its Duration is counted from time 0, wherever its data begins; ffprobe hands it on as it is.
        duration -= max(0.0, number(file.get("start_time")) or 0.0)
    return max(0.0, round(duration, 6))


def _found(result: Result) -> dict[str, Any]:
    try:
        return dict(json.loads(result.stdout or b"{}"))
    except ValueError:
        return {}


def _check_bounds(info: MediaInfo, caps: Caps) -> None:
    if len(info.streams) > caps.max_streams:
        raise BadSource(f"The file has {len(info.streams)} streams; more than {caps.max_streams} are refused.")
    for stream in info.streams:
        width, height = stream.width or 0, stream.height or 0
        if max(width, height) > caps.max_side or width * height > caps.max_pixels:
            raise BadSource(f"The file's picture of {width}×{height} pixels is too large to be decoded.")
