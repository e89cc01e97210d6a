"""The processes of a measurement: an origin for each run, and the measured one with all that it starts."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.downloads.behaviour import Behaviour

ROOT = Path(__file__).resolve().parent.parent.parent
_SAMPLE_SECONDS = 0.1
_STOP_SECONDS = 5
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SAID_BYTES = 300


class OriginProcess:
    """An origin that runs during the `with` block."""

    def __init__(self, manifest: Path, behaviour: Behaviour) -> None:
        arguments = [str(manifest), json.dumps(asdict(behaviour))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.downloads.origin", *arguments],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The origin has ended.")
        return line

    def url(self, path: str) -> str:
        """Of something it serves."""
        return f"http://127.0.0.1:{self.port}{path}"

    def counts(self) -> dict[str, float]:
        """What it has done up to now."""
        assert self._process.stdin is not None
        self._process.stdin.write("counts\n")
        self._process.stdin.flush()
        return dict(json.loads(self._line()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@dataclass
class Usage:
    """What a process and all that it started took."""

    wall: float
    cpu: float
    """Seconds of processor time, in user space and in the kernel."""
    peak_bytes: int
    """The most memory that they had together; looked at ten times a second."""
    problem: str = ""
    """Why it isn't a success: its exit status and last words, or that it was stopped."""


class Measured:
    """A process in a session of its own, so that it can be stopped with all that it started.

    A context manager: on leaving, what still runs is killed.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        self._peak = 0
        with log.open("wb") as output:
            self._started = time.monotonic()
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process.returncode is None:
            self.kill()

    def wait(self, limit: float) -> Usage:
        """Its end; it is stopped after `limit` seconds."""
        descriptor = os.pidfd_open(self._process.pid)
        try:
            ended, poll, late = self._started + limit, select.poll(), False
            poll.register(descriptor, select.POLLIN)
            while not poll.poll(1000 * _SAMPLE_SECONDS):
                self._peak = max(self._peak, _tree_bytes(self._process.pid))
                if time.monotonic() > ended and not late:
                    late = True
                    self._kill()
        finally:
            os.close(descriptor)
        return self._reap(f"stopped after {limit:.0f} s" if late else "")

    def kill(self) -> None:
        """End it by SIGKILL, with all that it started."""
        self._kill()
        self._reap("")

    def running(self) -> bool:
        """Whether it hasn't ended."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def _reap(self, problem: str) -> Usage:
        # wait4 counts the processor time of all descendants that were waited for. Its ru_maxrss would count the
        # memory of this process too, from the moment between fork and exec.
        _pid, status, used = os.wait4(self._process.pid, 0)
        wall = time.monotonic() - self._started
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        if code and not problem:
            words = self._log.read_bytes()[-_SAID_BYTES:].decode("utf-8", "replace").strip()
            problem = f"exit status {code}: {words}"
        return Usage(wall, used.ru_utime + used.ru_stime, self._peak, problem)


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Without proxies: everything here is on loopback."""
    kept = {name: value for name, value in inherited.items() if not name.lower().endswith("_proxy")}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _tree_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants (proc_pid_statm(5), proc_tid_children(5))."""
    process = Path(f"/proc/{pid}")
    resident = _read(process / "statm").split()
    try:
        tasks = list((process / "task").iterdir())
    except OSError:
        tasks = []  # it has just ended
    children = [child for task in tasks for child in _read(task / "children").split()]
    return (int(resident[1]) * _PAGE_BYTES if resident else 0) + sum(_tree_bytes(int(child)) for child in children)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # the process or thread has just ended
