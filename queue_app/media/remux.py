"""Into an MP4 without touching a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from queue_app.failures import BadSource, DiskFull
from queue_app.media.ffmpeg import CancelCheck, Tools, find_tools, local_input, run

REMUX_SECONDS = 3600.0
_READS_TO_THE_END = {"matroska", "webm"}


class _HasContainer(Protocol):
    @property
    def container(self) -> str: ...


def needs_remux(media: _HasContainer) -> bool:
    """Must a `Downloaded` or `MediaInfo` be remuxed? An MP4 that arrives as MP4 is kept byte for byte."""
    return media.container != "mp4"


def remux_to_mp4(
    source: Path,
    target: Path,
    *,
    container: str = "",
    tools: Tools | None = None,
    timeout: float = REMUX_SECONDS,
    cancelled: CancelCheck | None = None,
) -> None:
    """Copy the video and audio streams of `source` into the MP4 file `target`, its index in front.

    Subtitle and data streams and covers are left out. `container` is that of `source`. `target` appears only
    when whole. Raises BadSource, DiskFull, Transient after `timeout` seconds, and what `cancelled` raises.
    """
    tools = tools or find_tools()
    part = target.with_name(f"{target.name}.part")
    options = ["-hide_banner", "-nostdin", "-y", "-v", "error", "-xerror"]
    output = ["-map", "0:V", "-map", "0:a?", "-c", "copy", "-movflags", "+faststart", "-f", "mp4"]
    try:
        result = run(
            [tools.ffmpeg, *options, *local_input(source), *output, f"file:{part.absolute()}"],
            timeout,
            cancelled,
            caps=tools.caps,
        )
        check_result(result.returncode, result.stderr, strict=container in _READS_TO_THE_END)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def check_result(returncode: int, stderr: str, *, strict: bool = False) -> None:
    """Raise what FFmpeg's end of a copy into an MP4 file means; `strict`: any complaint of it is a failure."""
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        raise DiskFull("This host's disk became full while the video was put into an MP4 file.")
    if "Could not find tag for codec" in stderr or "codec not currently supported in container" in stderr:
        raise BadSource(f"MP4 can't hold the video's codecs. {stderr[-300:]}")
    if "matches no streams" in stderr:
        raise BadSource("The file has no video stream.")
    # A Matroska file that ends early is read without a bad exit status; only the complaint tells.
    if returncode != 0 or (strict and stderr):
        raise BadSource(f"The video can't be put into an MP4 file: it is damaged. {stderr[-300:]}".strip())
