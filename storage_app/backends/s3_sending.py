"""Bytes of a file as the body of requests, sent four at a time and counted."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from storage_app.backends.base import Progress, StorageUnavailableError

AT_ONCE = 4
CHUNK = 1024 * 1024
TICK = 0.2
"""Seconds between two calls of `progress`."""

Result = TypeVar("Result")


class SendingStopped(BaseException):
    """The caller wants no more of it. Not an Exception, or boto3 would take it for a broken connection and retry."""


class Meter:
    """Counts what the senders have sent, and tells `progress` about it in the caller's thread.

    What a retry sends again isn't counted twice, so the count never falls.
    """

    def __init__(self, progress: Progress, before: int = 0) -> None:
        self._progress, self._before = progress, before
        self._lock = threading.Lock()
        self._positions: dict[int, int] = {}
        self._stopped = threading.Event()

    def at(self, part: int, position: int) -> None:
        """So much of that part is sent. Raises SendingStopped when that is of no use any more."""
        if self._stopped.is_set():
            raise SendingStopped
        with self._lock:
            self._positions[part] = max(position, self._positions.get(part, 0))

    def tell(self) -> None:
        """Raises what `progress` raises."""
        with self._lock:
            done = sum(self._positions.values())
        self._progress(self._before + done)

    def results(self, futures: Sequence[Future[Result]]) -> list[Result]:
        """Of all senders, in their order. Raises the first exception of one of them, or of `progress`."""
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=TICK, return_when=FIRST_EXCEPTION)
                self.tell()
                for future in done:
                    future.result()
        except BaseException:
            self.stop(futures)
            raise
        return [future.result() for future in futures]

    def stop(self, futures: Sequence[Future[Result]]) -> None:
        """Senders end at their next chunk."""
        self._stopped.set()
        for future in futures:
            future.cancel()


def senders() -> ThreadPoolExecutor:
    """Threads for the parts of one file."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3")


class Source:
    """A file to send, open. `with Source.opened(path) as source:`"""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """Raises StorageUnavailableError when the file can't be opened."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageUnavailableError(f"The file to send can't be read: {path.name}: {error.strerror}.") from error
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def size(self) -> int:
        """Bytes."""
        return os.fstat(self.descriptor).st_size

    def md5(self, start: int, length: int) -> bytes:
        """Of those bytes."""
        return self._hashed("md5", start, length)

    def sha256(self, length: int) -> str:
        """Of the first bytes, in hex."""
        return self._hashed("sha256", 0, length).hex()

    def tail(self, size: int, length: int) -> bytes:
        """The last bytes of a file of that size."""
        return os.pread(self.descriptor, length, max(0, size - length))

    def _hashed(self, algorithm: str, start: int, length: int) -> bytes:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        while length > 0 and (chunk := os.pread(self.descriptor, min(CHUNK, length), start)):
            digest.update(chunk)
            start, length = start + len(chunk), length - len(chunk)
        return digest.digest()


class Slice:
    """Some bytes of a file, as boto3 takes a body. Nothing of it is held in memory."""

    def __init__(self, source: Source, start: int, length: int, meter: Meter, part: int) -> None:
        self._source, self._start, self._length = source, start, length
        self._meter, self._part, self._position = meter, part, 0

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises SendingStopped."""
        left = self._length - self._position
        size = left if size < 0 else min(size, left)
        chunk = os.pread(self._source.descriptor, size, self._start + self._position)
        self._position += len(chunk)
        self._meter.at(self._part, self._position)
        return chunk

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, min(self._length, base + offset))
        return self._position

    def tell(self) -> int:
        """As of any file."""
        return self._position
