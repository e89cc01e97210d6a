"""Where this worker keeps files in work: `WORK_DIR/<worker>/<job>/<lease token>/`.

The lease token in the path keeps a task that lost its lease, but still runs, away from the files of the next one. What
an attempt left when it ended before its time is taken over by the job's next one here: its folder is renamed to the
new token, but only under a lock that every task holds on its folder for as long as it works. A task that is merely
suspended holds it too, so nobody else ever writes to a file that it may still write to; the kernel lets go of a dead
one's.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from queue_app.failures import Cancelled
from queue_app.models import VideoQueue
from queue_app.queue import Lease
from queue_app.states import IN_WORK, VideoStatus

_GONE = ".gone"
"""Ends the name of a folder that is being removed."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def root(worker_id: str) -> Path:
    """The folder of a worker's jobs."""
    return Path(settings.WORK_DIR) / worker_id


def folder(worker_id: str, lease: Lease) -> Path:
    """The folder of one attempt."""
    return root(worker_id) / str(lease.job_id) / str(lease.token)


@contextmanager
def held(worker_id: str, lease: Lease) -> Iterator[Path]:
    """This attempt's folder, kept for it alone until the end of the block; in it what an earlier attempt had left.

    Raises Cancelled when the very same attempt is at work already.
    """
    own = folder(worker_id, lease)
    lock = _take_over(own) or _make(own)
    try:
        yield own
    finally:
        os.close(lock)


def discard(attempt: Path) -> bool:
    """Remove an attempt's folder, and the job's if that was the last in it; False when it wasn't there."""
    doomed = attempt if attempt.suffix == _GONE else attempt.with_name(attempt.name + _GONE)
    try:
        # In one step: either this removes all of it, or a new attempt has taken over all of it.
        attempt.rename(doomed)
    except OSError:
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    _remove_if_empty(doomed.parent)
    return True


def empty(attempt: Path) -> None:
    """Remove the files of an attempt that goes on from nothing; its folder, which it holds, stays."""
    for path in attempt.iterdir():
        if path.is_file():
            path.unlink(missing_ok=True)


def sweep(worker_id: str) -> int:
    """Remove what belongs to no job that this worker has in work, or may go on with; returns how many folders.

    The folders are listed before the database is asked: a claim is committed before its folder is made, so no
    living attempt can be missing from the answer.
    """
    found = {job: _folders(job) for job in _folders(root(worker_id))}
    wanted: set[Path] = set()
    for job_id, status, token, artifact in _rows_of(worker_id, found, (VideoStatus.PENDING, *IN_WORK)):
        own = folder(worker_id, Lease(job_id, token))
        if status == VideoStatus.PENDING or (status == VideoStatus.DOWNLOADING and not own.exists()):
            # Its next attempt is to come, or has been claimed but has not yet taken over what is there.
            wanted.update(entry for entry in found[own.parent] if entry.suffix != _GONE)
        wanted.add(own)
        if artifact:
            wanted.add(folder(worker_id, Lease(job_id, UUID(artifact["attempt"]))))
    for job, entries in found.items():
        if not entries:
            _remove_if_empty(job)
    return sum(discard(entry) for entries in found.values() for entry in entries if entry not in wanted)


def make_room(worker_id: str, job_id: UUID) -> int:
    """Remove what is kept for jobs that wait, except this one; returns how many folders.

    Else unfinished downloads could fill the disk between them so that none has room for its rest.
    """
    found = {job: _folders(job) for job in _folders(root(worker_id)) if job.name != str(job_id)}
    rows = _rows_of(worker_id, found, (VideoStatus.PENDING,))
    return sum(discard(entry) for waiting, *_ in rows for entry in found[root(worker_id) / str(waiting)])


def _rows_of(worker_id: str, jobs: Iterable[Path], statuses: Iterable[VideoStatus]) -> list[tuple[Any, ...]]:
    """Id, status, lease token and artifact of those of these jobs that are this worker's, in these states."""
    ids = [UUID(job.name) for job in jobs if _UUID.fullmatch(job.name)]
    rows = VideoQueue.objects.filter(worker_id=worker_id, status__in=list(statuses), id__in=ids)
    return list(rows.values_list("id", "status", "lease_token", "artifact"))


def _take_over(own: Path) -> int | None:
    """Rename the newest earlier attempt's folder to this one; the lock on it, or None when there is nothing to have."""
    if own.exists():
        return None
    for earlier in sorted(_folders(own.parent), key=_age):
        if earlier.suffix == _GONE:
            continue
        try:
            lock = _lock(earlier)
        except OSError:
            continue  # its task still lives, it has just been removed, or this file system knows no locks
        try:
            earlier.rename(own)
        except OSError:
            os.close(lock)
        else:
            return lock
    return None


def _make(own: Path) -> int:
    own.mkdir(parents=True, exist_ok=True)
    try:
        return _lock(own)
    except BlockingIOError:
        raise Cancelled("Another task is at work on the very same attempt.") from None
    except OSError:
        # Without locks nothing is ever taken over, and then nobody needs to be kept away.
        return os.open(own, os.O_RDONLY | os.O_DIRECTORY)


def _lock(attempt: Path) -> int:
    """A descriptor that holds the folder until it is closed. Raises BlockingIOError when a task holds it, OSError."""
    descriptor = os.open(attempt, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _age(attempt: Path) -> float:
    try:
        return -attempt.stat().st_mtime
    except OSError:
        return 0.0


def _remove_if_empty(job: Path) -> None:
    try:
        job.rmdir()
    except OSError:
        return  # another attempt's files are in it, or it is gone already


def _folders(parent: Path) -> list[Path]:
    try:
        return [entry for entry in parent.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []
