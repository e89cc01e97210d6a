"""Bytes of a file that lies in several places: when one copy fails, the next goes on at the same byte."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from storage_app.backends.base import Backend, ContentMismatchError, StorageError
from storage_app.backends.local import LocalBackend
from storage_app.playback import known
from storage_app.playback.ranges import ByteRange
from storage_app.playback.threads import SilentError, in_time, of_viewers

CHUNK_BYTES = 512 * 1024
OPENING_SECONDS = 10.0
"""In which an account elsewhere has to send its first bytes, for a viewer waits for them."""
READING_SECONDS = 30.0
"""In which it has to send some more."""

logger = logging.getLogger(__name__)


class NoCopyLeft(Exception):
    """No copy can be read: each is missing, has the wrong size or fails."""


class Source(Protocol):
    """An open copy. `read` raises StorageError and OSError; it and `close` are never called at the same time."""

    def read(self, length: int, /) -> bytes:
        """Up to `length` further bytes; empty at the end."""

    def close(self) -> None:
        """Let go of it; harmless to repeat."""


class Copy(Protocol):
    """One copy of a file. `str()` of it names it to operators."""

    @property
    def key(self) -> Hashable:
        """The same for the same copy."""

    @property
    def remote(self) -> bool:
        """Does it lie on an account elsewhere?"""

    def present(self, size: int) -> bool:
        """Does it seem to be there with `size` bytes? As far as this host can tell without connecting to anybody."""

    def open(self, wanted: ByteRange, size: int) -> Source:
        """These bytes of it. Raises StorageError, also when it hasn't `size` bytes in all, and OSError."""


@dataclass(frozen=True)
class LocalCopy:
    """A copy in a folder of this host."""

    name: str
    backend: LocalBackend
    repo: str
    path: str

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> Hashable:
        """See Copy.key."""
        return self.backend.root, self.repo, self.path

    @property
    def remote(self) -> bool:
        """See Copy.remote."""
        return False

    def present(self, size: int) -> bool:
        """See Copy.present."""
        try:
            self.open(ByteRange(0, 0), size).close()
        except (OSError, StorageError) as error:
            _left_out(self, error)
            return False
        return True

    def open(self, wanted: ByteRange, size: int) -> Source:
        """See Copy.open."""
        file = self.backend.open_file(self.repo, self.path)
        found = os.fstat(file.fileno()).st_size
        if found != size:
            file.close()
            raise ContentMismatchError(f"It has {found} bytes, not {size}.")
        file.seek(wanted.start)
        return file


@dataclass(frozen=True)
class RemoteCopy:
    """A copy on an account elsewhere. `connect` makes the backend, which is only done when the copy is opened."""

    name: str
    connect: Callable[[], Backend]
    repo: str
    path: str
    sha256: str
    replica: UUID

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> Hashable:
        """See Copy.key."""
        return self.replica

    @property
    def remote(self) -> bool:
        """See Copy.remote."""
        return True

    def present(self, size: int) -> bool:
        """True: who wants to know better opens it."""
        return True

    def open(self, wanted: ByteRange, size: int) -> Source:
        """See Copy.open. What the account says of the object is asked for first, and believed for five minutes."""
        return in_time(OPENING_SECONDS, lambda: self._open(wanted, size), _Pieces.close)

    def _open(self, wanted: ByteRange, size: int) -> _Pieces:
        backend = self.connect()
        if not known.is_good(self.key):
            found = backend.stat(self.repo, self.path)
            if found.size != size or found.sha256 not in {None, self.sha256}:
                raise ContentMismatchError(f"The account has something else there, of {found.size} bytes.")
            known.good(self.key)
        return _Pieces(backend.open(self.repo, self.path, wanted.start, wanted.stop))


class _Pieces:
    """What a backend sends, read as if it were a file. The first piece is fetched at once: then the account answers."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(next(pieces, b""))

    def read(self, length: int) -> bytes:
        """See Source.read."""
        while not self._rest:
            piece = self._next()
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:length], self._rest[length:]
        return bytes(taken)

    def _next(self) -> bytes | None:
        """The next piece; None at the end. One that hangs is left to itself, and closed when it comes back."""
        pieces = self._pieces
        try:
            return in_time(READING_SECONDS, lambda: next(pieces, None), lambda _: _close(pieces))
        except SilentError:
            self._pieces = iter(())
            raise

    def close(self) -> None:
        """Ends the connection: backends send from generators, which let go of it then."""
        self._rest = memoryview(b"")
        _close(self._pieces)


def _close(pieces: Iterator[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


class CopyReader:
    """Reads `wanted` from the first of `copies` that holds a file of `size` bytes. Raises NoCopyLeft.

    Those that have failed in the last minute are tried after the others.
    It may be closed by one thread while another one reads: then the copy is let go of when that has come back.
    """

    def __init__(self, copies: Sequence[Copy], size: int, wanted: ByteRange) -> None:
        self._copies = iter(sorted(copies, key=lambda copy: known.has_failed(copy.key)))
        self._size = size
        self._position = wanted.start
        self._stop = wanted.stop
        self._busy = threading.Lock()
        self._over = False
        self.closed = False
        """Has the copy been let go of?"""
        self._copy, self._source = self._next_copy()

    @property
    def remote(self) -> bool:
        """Does the copy that is being read lie on an account elsewhere?"""
        return self._copy.remote

    def read(self) -> bytes:
        """The next piece; empty at the end, and once it is closed. Raises NoCopyLeft."""
        try:
            with self._busy:
                return b"" if self._over else self._read()
        finally:
            if self._over:
                self.close()

    def close(self) -> None:
        """Reading is over."""
        self._over = True
        if self._busy.acquire(blocking=False):
            try:
                self._source.close()
                self.closed = True
            finally:
                self._busy.release()

    def _read(self) -> bytes:
        while wanted := min(CHUNK_BYTES, self._stop - self._position):
            piece = self._read_from_copy(wanted)
            if piece:
                self._position += len(piece)
                return piece
            known.failed(self._copy.key)
            self._source.close()
            self._copy, self._source = self._next_copy()
        return b""

    def _read_from_copy(self, length: int) -> bytes:
        try:
            piece = self._source.read(length)
        except (OSError, StorageError) as error:
            logger.warning("%s fails at byte %d: %s Going on with the next.", self._copy, self._position, error)
            return b""
        if not piece:
            logger.warning("%s ends at byte %d of %d. Going on with the next.", self._copy, self._position, self._size)
        return piece

    def _next_copy(self) -> tuple[Copy, Source]:
        for copy in self._copies:
            try:
                return copy, copy.open(ByteRange(self._position, self._stop), self._size)
            except (OSError, StorageError) as error:
                known.failed(copy.key)
                _left_out(copy, error)
        raise NoCopyLeft


def any_present(copies: Sequence[Copy], size: int) -> bool:
    """Is there a copy that can be opened, as far as this host can tell without connecting to anybody?"""
    return any(copy.present(size) for copy in copies)


def _left_out(copy: Copy, error: Exception) -> None:
    logger.warning("%s is left out: %s Its account needs a look.", copy, error)


class Body:
    """What a synchronous server (and Django's test client) iterates over."""

    def __init__(self, reader: CopyReader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._reader.read():
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Called by Django when the response is over, also when the viewer left before its first byte."""
        self._reader.close()


class AsyncBody:
    """The same for ASGI: copies are read in threads, the event loop never waits for a disk or an account."""

    def __init__(self, reader: CopyReader) -> None:
        self._reader = reader

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            while piece := await loop.run_in_executor(of_viewers(self._reader.remote), self._reader.read):
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Called by Django when the response is over, also when the viewer left in the middle."""
        self._reader.close()
