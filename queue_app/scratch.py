"""Where this worker keeps files in work: `WORK_DIR/<worker>/<job>/<lease token>/`.

The lease token in the path keeps a task that lost its lease, but still runs, away from the files of the next one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import UUID

from django.conf import settings

from queue_app.models import VideoQueue
from queue_app.queue import Lease
from queue_app.states import IN_WORK


def root(worker_id: str) -> Path:
    """The folder of a worker's jobs."""
    return Path(settings.WORK_DIR) / worker_id


def folder(worker_id: str, lease: Lease) -> Path:
    """The folder of one attempt."""
    return root(worker_id) / str(lease.job_id) / str(lease.token)


def discard(attempt: Path) -> None:
    """Remove an attempt's folder, and the job's if that was the last in it."""
    shutil.rmtree(attempt, ignore_errors=True)
    try:
        attempt.parent.rmdir()
    except OSError:
        return  # another attempt's files are in it, or it is gone already


def sweep(worker_id: str) -> int:
    """Remove what belongs to no job that this worker holds; returns how many attempts' folders that were.

    The folders are listed before the database is asked: a claim is committed before its folder is made, so no
    living attempt can be missing from the answer.
    """
    attempts = [attempt for job in _folders(root(worker_id)) for attempt in _folders(job) or [job]]
    jobs = VideoQueue.objects.filter(worker_id=worker_id, status__in=IN_WORK)
    wanted: set[Path] = set()
    for job_id, token, artifact in jobs.values_list("id", "lease_token", "artifact"):
        if token is not None:
            wanted.add(folder(worker_id, Lease(job_id, token)))
        if artifact:
            wanted.add(folder(worker_id, Lease(job_id, UUID(artifact["attempt"]))))
    orphans = [attempt for attempt in attempts if attempt not in wanted]
    for attempt in orphans:
        discard(attempt)
    return len(orphans)


def _folders(parent: Path) -> list[Path]:
    try:
        return [entry for entry in parent.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []
