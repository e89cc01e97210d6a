"""Bytes of a file that lies in several places: when one copy fails, the next goes on at the same byte."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from storage_app.playback.ranges import ByteRange

CHUNK_BYTES = 512 * 1024

logger = logging.getLogger(__name__)


class NoCopyLeft(Exception):
    """No copy can be read: each is missing, has the wrong size or fails."""


class CopyReader:
    """Reads `wanted` from the first of `paths` that holds a file of `size` bytes. Raises NoCopyLeft."""

    def __init__(self, paths: Sequence[Path], size: int, wanted: ByteRange) -> None:
        self._paths = iter(paths)
        self._size = size
        self._position = wanted.start
        self._stop = wanted.stop
        self._file = self._next_copy()

    def read(self) -> bytes:
        """The next piece; empty at the end. Raises NoCopyLeft."""
        wanted = min(CHUNK_BYTES, self._stop - self._position)
        while wanted:
            piece = self._read_from_copy(wanted)
            if piece:
                self._position += len(piece)
                return piece
            self.close()
            self._file = self._next_copy()
        return b""

    def close(self) -> None:
        """Close the file; reading is over."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Is the file closed?"""
        return self._file.closed

    def _read_from_copy(self, length: int) -> bytes:
        try:
            piece = self._file.read(length)
        except OSError as error:
            logger.warning("A copy fails at byte %d (%s); going on with the next.", self._position, error.strerror)
            return b""
        if not piece:
            logger.warning("A copy ends at byte %d of %d; going on with the next.", self._position, self._size)
        return piece

    def _next_copy(self) -> BinaryIO:
        for path in self._paths:
            try:
                return self._open(path)
            except OSError as error:
                logger.warning("%s is left out: %s. Its account needs a look.", path, error.strerror or error)
        raise NoCopyLeft

    def _open(self, path: Path) -> BinaryIO:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != self._size:
            raise OSError(f"not a file of {self._size} bytes")
        file = path.open("rb")
        file.seek(self._position, os.SEEK_SET)
        return file


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
    """The same for ASGI: files are read in threads, the event loop never waits for a disk."""

    def __init__(self, reader: CopyReader) -> None:
        self._reader = reader

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await asyncio.to_thread(self._reader.read):
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Called by Django when the response is over, also when the viewer left in the middle."""
        self._reader.close()
