"""A big foreign library, run in a process of its own: bounded in time and memory, and gone when its caller is."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from archive_site.process_tree import die_with_parent, kill_trees
from queue_app.downloaders.base import ProgressSink

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.1
_MEMORY_EVERY = 5  # polls
_ANSWER_BYTES = 1024 * 1024
_LOG_BYTES = 4 * 1024


class ChildFailed(Exception):
    """It gave no answer. The text says why, for the operator."""


def ask(
    module: str,
    request: Mapping[str, Any],
    *,
    seconds: float,
    memory: int,
    progress: ProgressSink,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The JSON object with which `python -m <module>` answers `request`, which it reads from its standard input.

    `seconds` and `memory` (bytes, of it and all that it starts) are its limits. Raises ChildFailed, and what `progress`
    raises, which is called ten times a second; the process and all that it has started are gone then.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=_ROOT,
        env={"LANG": "C.UTF-8", **(environment or {}), "REELKEEP_PARENT": str(os.getpid())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - all are pipes
        answer, complaints = _Drain(process.stdout, _ANSWER_BYTES), _Drain(process.stderr, _LOG_BYTES)
        try:
            _send(process.stdin, request)
            _wait(process, seconds, memory, progress)
        finally:
            if process.poll() is None:
                kill_trees([process.pid])
        return _parsed(module, process.returncode, answer, complaints)


def begin(signum: signal.Signals = signal.SIGKILL) -> dict[str, Any]:
    """In the child: have `signum` sent when the parent ends, and read the request."""
    die_with_parent(signum, parent=int(os.environ["REELKEEP_PARENT"]))
    request: dict[str, Any] = json.load(sys.stdin)
    return request


def answer(reply: Mapping[str, Any]) -> None:
    """In the child: the answer, once."""
    sys.stdout.write(json.dumps(reply))
    sys.stdout.flush()


def _send(pipe: IO[bytes], request: Mapping[str, Any]) -> None:
    try:
        pipe.write(json.dumps(request).encode())
        pipe.close()
    except BrokenPipeError:
        return  # it died already; its exit status tells


def _wait(process: subprocess.Popen[bytes], seconds: float, memory: int, progress: ProgressSink) -> None:
    deadline, polls = time.monotonic() + seconds, 0
    while True:
        progress(0, None)
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            polls += 1
        else:
            return
        if time.monotonic() > deadline:
            raise ChildFailed(f"it took longer than {seconds:.0f} s")
        if polls % _MEMORY_EVERY == 0 and _memory_of(process.pid) > memory:
            raise ChildFailed(f"it took more than {memory / 1024**2:,.0f} MiB of memory")


def _memory_of(pid: int) -> int:
    """Bytes that this process and its descendants have for themselves, about."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            info = process.memory_info()
            total += max(0, info.rss - getattr(info, "shared", 0))
    except psutil.NoSuchProcess:
        return total
    return total


def _parsed(module: str, status: int, reply: _Drain, complaints: _Drain) -> dict[str, Any]:
    try:
        found = json.loads(reply.read())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        log.warning("%s ended with status %d: %s", module, status, complaints.read().decode("utf-8", "replace"))
        raise ChildFailed("it broke off; the worker's log says more")
    return found


class _Drain:
    """Empties a pipe in a thread of its own and keeps its last bytes."""

    def __init__(self, pipe: IO[bytes], keep: int) -> None:
        self._pipe, self._keep, self._bytes = pipe, keep, b""
        self._thread = threading.Thread(target=self._drain, name="child-output", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        for piece in iter(lambda: self._pipe.read1(64 * 1024), b""):  # type: ignore[attr-defined]
            self._bytes = (self._bytes + piece)[-self._keep :]

    def read(self) -> bytes:
        """What was kept, after the program's end."""
        self._thread.join(5)
        return self._bytes
