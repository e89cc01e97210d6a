"""A store of a few videos with real copies on local accounts, and keepers in this process or in one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from psycopg.conninfo import conninfo_to_dict

from archive_site.process_tree import kill_trees
from storage_app.models import Replica, StorageAccount, StorageEvent, StorageTask, StoredFile, TaskKind, VideoStore
from storage_app.naming import VideoKey
from storage_app.upkeep.keeper import run_due
from tests.archive import archive
from tests.conftest import dsn
from tests.worker.conftest import start_worker  # noqa: F401 (a fixture)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, settings: Any) -> Path:
    """A work folder of the test's own."""
    folder = tmp_path / "scratch"
    settings.WORK_DIR = folder
    return folder


def videos(accounts: list[StorageAccount], number: int = 3, size: int = 3000) -> list[VideoStore]:
    """So many videos, each with a content of its own and a copy on each of the accounts."""
    return [
        archive(VideoKey(55825, episode, "animasu", "720p"), accounts, bytes([episode]) * size)
        for episode in range(1, number + 1)
    ]


def file_of(video: VideoStore) -> StoredFile:
    assert video.stored_file is not None
    return video.stored_file


def due(*kinds: TaskKind) -> int:
    """Do all tasks that are due (of these kinds), as a keeper does; how many."""
    return run_due(kinds or tuple(TaskKind), "test")


def copies() -> set[tuple[int, int]]:
    """Episode and account of every copy of a video that has a row."""
    return set(
        Replica.objects.filter(stored_file__videos__isnull=False).values_list(
            "stored_file__videos__episode", "account_id"
        )
    )


def events() -> list[str]:
    return list(StorageEvent.objects.order_by("id").values_list("kind", flat=True))


def tasks() -> list[str]:
    return list(StorageTask.objects.order_by("created_at").values_list("kind", flat=True))


StartKeeper = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_keeper(transactional_db: None, tmp_path: Path, scratch: Path) -> Iterator[StartKeeper]:
    """Starts `manage.py archive_keeper` processes; all are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str = "host", **environment: str) -> subprocess.Popen[bytes]:
        database = conninfo_to_dict(dsn())
        url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**{"password": "", **database})
        own = {"DATABASE_URL": url, "WORKER_ID": name, "WORK_DIR": str(scratch), "LEASE_SECONDS": "5"}
        with (tmp_path / f"{name}.log").open("ab") as log:
            command = [sys.executable, "manage.py", "archive_keeper"]
            environ = os.environ | own | environment
            started.append(subprocess.Popen(command, cwd=site.BASE_DIR, env=environ, stdout=log, stderr=log))
        return started[-1]

    yield start
    kill_trees([process.pid for process in started])
    for process in started:
        process.wait()
