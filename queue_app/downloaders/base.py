"""What every downloader takes and gives, and what it leaves behind.

A download may be called again with the folder of an unfinished one, which may have died at any instant. It goes on from
the bytes on the disk that are recorded beside them (`part`) if the source can show that it still has the same file:
by a strong ETag or Last-Modified with If-Range, or for HLS by the same playlist. Otherwise it starts again from zero.

| end                                                | left in the folder                              |
|----------------------------------------------------|-------------------------------------------------|
| success                                            | the file, and the record that it is whole       |
| a permanent failure (`Failure.permanent`)          | nothing                                         |
| any other failure, Cancelled, a crash, a power cut | what arrived, and the record of what it is      |

Whoever calls keeps everybody else out of the folder meanwhile, and decides how long it is kept.
"""

from __future__ import annotations

import errno
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from queue_app.failures import DiskFull, Failure, TooLarge

ProgressSink = Callable[[int, int | None], None]
"""Called with bytes done and in all (None: unknown) for every piece that arrives, in the caller's thread.

It may raise `queue_app.failures.Cancelled`, which stops the download at once.
"""

_MIB = 1024 * 1024


@dataclass
class Progress:
    """How far a download is, in bytes. Usable as a ProgressSink that remembers."""

    bytes_done: int = 0
    bytes_total: int | None = None

    def __call__(self, bytes_done: int, bytes_total: int | None) -> None:
        self.bytes_done, self.bytes_total = bytes_done, bytes_total


@dataclass(frozen=True)
class Downloaded:
    """A whole file on this host, not yet proven to be a playable video."""

    path: Path
    size: int
    """Bytes."""
    sha256: str | None
    """In hex, of exactly what lies at `path`; None where it is going to be remuxed anyway."""
    expected_duration: float | None
    """Seconds, as announced by the source (the sum of a playlist's segments)."""
    container: str
    """'mp4', 'mov', 'matroska', 'webm', 'mpegts', or 'fmp4' for joined fragments."""
    resumed: bool = False
    """Are bytes of an earlier call in it?"""


@dataclass(frozen=True)
class Limits:
    """How much one download may take."""

    max_bytes: int
    hls_connections: int = 8
    max_segments: int = 50_000
    max_playlist_bytes: int = 16 * _MIB
    retry_wait: float = 1.0
    """Seconds before the first retry in place; doubled for each next one, with jitter."""
    mark_seconds: float = 1.0
    """What arrived is put on the disk, and recorded, so often: a crash costs the bytes of this time."""


class Retries:
    """A small number of retries in place, with growing, jittered waits."""

    def __init__(self, limits: Limits, count: int = 3) -> None:
        self._left = count
        self._wait = limits.retry_wait

    def use(self, failure: Failure, before_wait: Callable[[], None] = lambda: None) -> None:
        """Wait and use one up; raise `failure` when none is left."""
        if self._left == 0:
            raise failure
        self._left -= 1
        before_wait()
        time.sleep(self._wait * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, keeps no secret
        self._wait *= 2


def check_size(size: int, limits: Limits) -> None:
    """Raise TooLarge when `size` bytes are more than the operator allows."""
    if size > limits.max_bytes:
        allowed = f"{limits.max_bytes / _MIB:,.0f} MiB"
        raise TooLarge(f"The source is larger than the {allowed} that are allowed for one video.")


def check_room(folder: Path, size: int) -> None:
    """Raise DiskFull when `folder`'s disk hasn't room for `size` bytes more."""
    free = shutil.disk_usage(folder).free
    if size > free:
        needed, left = f"{size / _MIB:,.0f} MiB", f"{free / _MIB:,.0f} MiB"
        raise DiskFull(f"The download needs {needed}, but this host has {left} left.")


@contextmanager
def full_disk_as_failure() -> Iterator[None]:
    """Turn the system's "no room" errors into DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull("This host's disk became full during the download.") from error
        raise
