"""Real worker processes on the test database, each with a data folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from archive_site.process_tree import kill_trees
from queue_app import queue
from queue_app.models import VideoQueue
from storage_app.models import StorageAccount
from storage_app.naming import VideoKey
from tests.conftest import dsn
from tests.environment import HF_FILE_SALT
from tests.servers.origin import Origin

DEADLINE = 60.0
T = TypeVar("T")


def eventually(look: Callable[[], T | None], seconds: float = DEADLINE) -> T:
    """The first true thing that `look` gives; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@dataclass
class RunningWorker:
    """An `archive_worker` and its data folder."""

    process: subprocess.Popen[bytes]
    data: Path
    log_start: int = 0

    def tree(self) -> list[psutil.Process]:
        """The process and all that it has started."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def connected_to(self, origin: Origin) -> list[psutil.Process]:
        """Its processes that hold a connection to the origin."""
        found = []
        for process in self.tree():
            # One that is just ending may be looked into by nobody.
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if any(
                    link.raddr and link.raddr.port == origin.host_port[1] for link in process.net_connections("tcp")
                ):
                    found.append(process)
        return found

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(signum)
        return self.process.wait(DEADLINE)

    def stop_when_up(self) -> None:
        """Stop it in order, once it has begun its work."""
        eventually(lambda: self.said(b"takes up to"))
        assert self.stop() == 0

    def said(self, words: bytes) -> bool:
        """Whether this process, not an earlier one of its host, has logged the words."""
        return words in (self.data / "worker.log").read_bytes()[self.log_start :]

    def scratch_files(self) -> list[Path]:
        """What lies in its work folder; folders may vanish meanwhile."""
        return [Path(folder) / name for folder, _, names in os.walk(self.data / "scratch") for name in names]


StartWorker = Callable[..., RunningWorker]


@pytest.fixture
def start_worker(
    accounts: list[StorageAccount], transactional_db: None, origin: Origin, tmp_path: Path
) -> Iterator[StartWorker]:
    """Starts workers; the same `data` name again is the same host again. All are killed at the end."""
    started: list[RunningWorker] = []

    def start(data: str = "host", **environment: str) -> RunningWorker:
        folder = tmp_path / data
        folder.mkdir(exist_ok=True)
        log = (folder / "worker.log").open("ab")
        log_start = log.tell()
        process = subprocess.Popen(
            [sys.executable, "manage.py", "archive_worker"],
            cwd=settings.BASE_DIR,
            env=os.environ | base_environment(origin) | {"REELKEEP_DATA": str(folder)} | environment,
            stdout=log,
            stderr=log,
        )
        log.close()
        started.append(RunningWorker(process, folder, log_start))
        return started[-1]

    yield start
    kill_trees([worker.process.pid for worker in started])
    for worker in started:
        worker.process.wait()


def base_environment(origin: Origin) -> dict[str, str]:
    """What every worker of a test is given."""
    host, port = origin.host_port
    database = conninfo_to_dict(dsn())
    return {
        "DATABASE_URL": "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**{"password": "", **database}),
        "FETCH_ALLOW_HOSTS": f"{host}:{port}",
        "HF_FILE_SALT": HF_FILE_SALT,
        "PUBLIC_URL": "https://archive.example",
        "KEEPER": "false",  # one process less to start; who needs it says so
        "SHUTDOWN_GRACE": "5",
        "LEASE_SECONDS": "5",
        "POLL_INTERVAL": "500",
    }


def add(url: str, episode: int = 1, **changes: object) -> VideoQueue:
    """A job of the queue; `changes` are written over its columns."""
    job = queue.enqueue_video(VideoKey(55825, episode, "test", "720p"), url)
    VideoQueue.objects.filter(id=job.id).update(**changes)
    return job


def finished(job: VideoQueue) -> VideoQueue:
    """The job once it is ready or failed."""

    def look() -> VideoQueue | None:
        job.refresh_from_db()
        return job if job.status in {"ready", "failed"} else None

    return eventually(look)


def in_status(job: VideoQueue, status: str) -> VideoQueue:
    """The job once it is in that status."""

    def look() -> bool:
        job.refresh_from_db()
        return job.status == status

    eventually(look)
    return job
