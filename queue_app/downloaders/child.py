"""A big foreign library, run in a process of its own: bounded in time and memory, and gone when its caller is."""

from __future__ import annotations

import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import psutil

from archive_site.process_tree import die_with_parent, kill_trees
from queue_app.downloaders.base import ProgressSink

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.1
_MEMORY_EVERY = 5  # polls
_ANSWER_BYTES = 1024 * 1024
_COMPLAINT_BYTES = 64 * 1024
_LOG_CHARACTERS = 4 * 1024
# Whole URLs, and bare targets as HTTP libraries name them; percent-encoded ones are URLs within URLs. Whatever else a
# page's URL carries beside its path is cut by knowing it.
_QUERY = re.compile(r"(?<=\S)(?:[?#]|%3f|%23)\S+", re.IGNORECASE)
_CREDENTIALS = re.compile(r"//[^\s/]*@")
_HEADERS = re.compile(r"\b(?:(?:set-)?cookie|(?:proxy-)?authorization)\b['\"]?\s*[:=,].*", re.IGNORECASE)
_SECRETS = ("password", "proxy")


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
        answer, complaints = _Drain(process.stdout, _ANSWER_BYTES), _Drain(process.stderr, _COMPLAINT_BYTES)
        try:
            _send(process.stdin, request)
            _wait(process, seconds, memory, progress)
        finally:
            _end(process)
            reply, said_last = answer.read(), complaints.read()
        found = _parsed(reply)
        if found is None:
            said = speakable(said_last, request)
            log.warning("%s ended with status %d: %s", module, process.returncode, said)
            raise ChildFailed("it broke off; the worker's log says more")
        return found


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
        if _has_ended(process, _POLL_SECONDS):
            return
        polls += 1
        if time.monotonic() > deadline:
            raise ChildFailed(f"it took longer than {seconds:.0f} s")
        if polls % _MEMORY_EVERY == 0 and _memory_of(process.pid) > memory:
            raise ChildFailed(f"it took more than {memory / 1024**2:,.0f} MiB of memory")


def _has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Within `seconds`? It isn't reaped: as long as it is a zombie, nobody else gets its number."""
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(0.02, left))
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and all that it has started; if it has ended before, what it has left behind in its session."""
    started = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kill_trees(started)


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


def _parsed(reply: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(reply)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def speakable(complaints: bytes, request: Mapping[str, Any]) -> str:
    """The end of what a program said, without queries, fragments and credentials, at most 4 KiB of characters."""
    text = complaints.decode("utf-8", "replace")
    if len(complaints) >= _COMPLAINT_BYTES:
        # Its first line has lost its beginning, by which a URL would be known.
        text = text.partition("\n")[2]
    for secret in sorted(_secrets(request), key=len, reverse=True):
        text = text.replace(secret, "…")
    for pattern, instead in ((_HEADERS, "…"), (_CREDENTIALS, "//…@"), (_QUERY, "…")):
        text = pattern.sub(instead, text)
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)[-_LOG_CHARACTERS:]


def _secrets(request: Mapping[str, Any]) -> set[str]:
    """What is secret of a request, as it may be written."""
    secrets = {str(request[name]) for name in _SECRETS if request.get(name)}
    try:
        url = urlsplit(str(request.get("url") or ""))
    except ValueError:
        return secrets
    hidden = {url.query, url.fragment, url.password or "", url.netloc.rpartition("@")[0]}
    return secrets | {form for part in hidden for form in (part, unquote(part), repr(part)[1:-1]) if len(form) > 2}


class _Drain:
    """Empties a pipe in a thread of its own and keeps its last bytes."""

    def __init__(self, pipe: IO[bytes], keep: int) -> None:
        self._pipe, self._keep, self._bytes = pipe.fileno(), keep, b""
        self._ended = self._enough = False
        self._thread = threading.Thread(target=self._drain, name="child-output", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        """To its end; after the program's end only what is there, for others may hold the pipe open for ever."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while not self._enough:
            ended = self._ended
            if poll.poll(_POLL_SECONDS * 1000):
                piece = os.read(self._pipe, 64 * 1024)
                if not piece:
                    return
                self._bytes = (self._bytes + piece)[-self._keep :]
            elif ended:
                return

    def read(self) -> bytes:
        """What was kept, after the program's end. The pipe may be closed then."""
        self._ended = True
        self._thread.join(5)
        self._enough = True
        self._thread.join()
        return self._bytes
