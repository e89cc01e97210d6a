"""Servers in processes of their own, each kept to one processor, and what they take of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from archive_site.process_tree import kill_trees

ROOT = Path(__file__).resolve().parent.parent.parent
_READY_SECONDS = 60
_STOP_SECONDS = 15
_SAID_BYTES = 2000
_PORT = re.compile(r"^port (\d+)$", re.MULTILINE)


class ServerProcess:
    """A server that has started to answer on its port; port 0 means that it chooses one and prints it."""

    def __init__(
        self, command: Sequence[str], port: int, log: Path, *, core: int | None, environment: Mapping[str, str] = {}
    ) -> None:
        self.port = port
        cores = str(core) if core is not None else f"0-{(os.cpu_count() or 1) - 1}"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", cores, *command],
                cwd=ROOT,
                env=_without_proxies({**os.environ, **environment}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers(log, chosen=port == 0)
        except BaseException:
            self.stop()
            raise

    def cpu_seconds(self) -> float:
        """Of the process and all that it has started, in user space and in the kernel, up to now."""
        main, total = psutil.Process(self._process.pid), 0.0
        for one in (main, *main.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(one.cpu_times()[:4])
        return total

    def stop(self) -> None:
        """SIGTERM, and SIGKILL should that not help."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            kill_trees([self._process.pid])
            self._process.wait()

    def _wait_until_it_answers(self, log: Path, *, chosen: bool) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if chosen and (found := _PORT.search(log.read_text(errors="replace"))):
                self.port = int(found[1])
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"It does not answer: {log.read_bytes()[-_SAID_BYTES:].decode(errors='replace')}")


@contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, *, core: int | None, environment: Mapping[str, str] = {}
) -> Iterator[ServerProcess]:
    """The server during the `with` block; `core` is the processor that it may use, None: all of them."""
    server = ServerProcess(command, port, log, core=core, environment=environment)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """One of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
