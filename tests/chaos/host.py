"""A host of the chaos test: one real `archive_worker` on a data folder of its own."""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from django.conf import settings

STOP_SECONDS = 60.0


class Role(enum.Enum):
    """Who is who in a worker's process tree, by how deep it lies."""

    SUPERVISOR = 0
    LANE = 1
    SENTINEL = 2
    POOL = 3
    """django-q2's pusher, its monitor, or one of the processes that run tasks; from outside they look the same."""


class Host:
    """Starts its worker, starts it again after it died, and knows all of its processes."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.data = folder / name
        self.data.mkdir()
        self._environment = {**os.environ, **environment, "REELKEEP_DATA": str(self.data), "WORKER_ID": name}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether the supervisor lives, be it suspended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The supervisor's, once it was started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the worker."""
        with (self.data / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "archive_worker"],
                cwd=settings.BASE_DIR,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Stop it as an operator would, and wait for its end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_SECONDS)

    def tree(self) -> list[psutil.Process]:
        """The supervisor and all below it that live now."""
        return [process for role in Role for process in self.processes(role)]

    def processes(self, role: Role) -> list[psutil.Process]:
        """Those of one role that live now."""
        if self._process is None or not self.alive:
            return []
        level: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            level = [psutil.Process(self._process.pid)]
        for _ in range(role.value):
            level = [child for process in level for child in _children(process)]
        return level

    def ever_started(self) -> list[psutil.Process]:
        """Every living process that was started on this host, whoever its parent is by now."""
        return [process for process in psutil.process_iter() if _data_folder(process) == str(self.data)]

    def scratch(self) -> list[Path]:
        """All that lies in its work folder, below the worker's own."""
        return list((self.data / "scratch" / self.name).rglob("*"))


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def _data_folder(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("REELKEEP_DATA")
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return None
