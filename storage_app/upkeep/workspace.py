"""Folders for files on their way from one account to another: `WORK_DIR/.upkeep/<random>/`.

Whoever works in one holds a lock on it, which the kernel lets go of when the process dies: what is there without a
lock was left by a kill.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from storage_app.upkeep.lease import Postpone

SPARE_BYTES = 256 * 1024**2
NO_ROOM_WAIT = timedelta(minutes=10)


def root() -> Path:
    """The folder of all of them."""
    return Path(settings.WORK_DIR) / ".upkeep"


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder of one's own, removed at the end."""
    folder, lock = _make()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def require_room(size: int) -> None:
    """Raises Postpone when a file of `size` bytes would fill this host's disk."""
    free = shutil.disk_usage(root()).free
    if free < size + SPARE_BYTES:
        raise Postpone(
            f"This host has {free} bytes free under WORK_DIR, too few to carry {size} bytes from one account to"
            " another. Free some space; it goes on by itself.",
            NO_ROOM_WAIT,
        )


def reserve(file: BinaryIO, size: int) -> None:
    """Take the room for `size` bytes (at least one) now, so that nobody else does while they arrive. Raises OSError."""
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:  # a file system that can't; the bytes come all the same
            raise


@contextmanager
def waiting_for_room() -> Iterator[None]:
    """Writing within the block raises Postpone where the disk, or a quota, is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        text = "The disk of this host has become full under WORK_DIR. Free some space; it goes on by itself."
        raise Postpone(text, NO_ROOM_WAIT) from error


def sweep() -> int:
    """Remove what processes that died have left; how many folders."""
    removed = 0
    for folder in root().iterdir() if root().is_dir() else ():
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            removed += 1
    return removed


def _make() -> tuple[Path, int]:
    """A new folder and its lock. One that a sweep got hold of in between is let go of."""
    while True:
        root().mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=root()))
        lock = _lock(folder)
        if lock is None:
            continue
        if folder.exists():
            return folder, lock
        os.close(lock)


def _lock(folder: Path) -> int | None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
