"""Who is measured, as the command lines that bring one URL to one file."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from queue_app.media.ffmpeg import Tools

OURS = "Reelkeep"


@dataclass(frozen=True)
class Job:
    """What one run is to do."""

    url: str
    folder: Path
    """Empty, for whatever it keeps meanwhile."""
    output: Path
    """Where the result has to lie at the end."""


@dataclass(frozen=True)
class Contender:
    """One way to download. `missing` says what has to be installed for it, "" when all is there."""

    name: str
    command: Callable[[Job], list[str]]
    missing: str = ""


def ours(connections: int) -> Contender:
    """Reelkeep's downloader and its way to an MP4."""

    def command(job: Job) -> list[str]:
        arguments = [job.url, str(job.folder), str(job.output), str(connections)]
        return [sys.executable, "-m", "benchmarks.downloads.ours", *arguments]

    return Contender(OURS, command)


def aria2c(*, tuned: bool = False) -> Contender:
    """aria2c with 8 connections; `tuned` for origins that misbehave, where its defaults give up."""
    patience = ["-m0", "--retry-wait=1"] if tuned else []

    def command(job: Job) -> list[str]:
        # Without preallocation, which by default writes the whole file twice.
        options = ["--no-conf", "--quiet", "--file-allocation=none", "-x8", "-s8", "-k1M", *patience]
        return ["aria2c", *options, "-d", str(job.output.parent), "-o", job.output.name, job.url]

    return Contender("aria2c -m0" if tuned else "aria2c", command, _missing("aria2c", "aria2"))


def curl() -> Contender:
    """curl: one connection."""

    def command(job: Job) -> list[str]:
        return ["curl", "-q", "-sS", "-f", "--retry", "5", "-o", str(job.output), job.url]

    return Contender("curl", command, _missing("curl", "curl"))


def yt_dlp(connections: int, tools: Tools, folder: Path) -> Contender:
    """yt-dlp with its own HLS downloader. It finds ffmpeg by its name, so it is given that name in `folder`."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name, path in (("ffmpeg", tools.ffmpeg), ("ffprobe", tools.ffprobe)):
        if not (programs / name).is_symlink():
            (programs / name).symlink_to(path)

    def command(job: Job) -> list[str]:
        options = ["--ignore-config", "--no-cache-dir", "--quiet", "--no-progress", "-N", str(connections)]
        options += ["--ffmpeg-location", str(programs), "--paths", f"temp:{job.folder}"]
        return [sys.executable, "-m", "yt_dlp", *options, "-o", str(job.output), job.url]

    found = all(importlib.util.find_spec(name) for name in ("yt_dlp", "requests"))
    return Contender(f"yt-dlp -N{connections}", command, "" if found else "pip install yt-dlp requests")


def ffmpeg(tools: Tools) -> Contender:
    """ffmpeg's own HLS reader, one segment after the other."""

    def command(job: Job) -> list[str]:
        options = ["-hide_banner", "-nostdin", "-v", "error", "-y", "-i", job.url]
        return [tools.ffmpeg, *options, "-c", "copy", "-movflags", "+faststart", str(job.output)]

    return Contender("ffmpeg", command)


def _missing(program: str, package: str) -> str:
    return "" if shutil.which(program) else f"the Debian package {package}"
