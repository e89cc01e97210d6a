"""Responses made of pieces: bytes, and parts of files on this host that need not pass through Python."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from django.http import StreamingHttpResponse

READ_BYTES = 512 * 1024

FILES = ThreadPoolExecutor(256, thread_name_prefix="files")
"""In which files are read: a disk that hangs holds up only its own viewers. Threads are started when needed."""


@dataclass(eq=False)
class FileSlice:
    """`length` bytes of an open file from `start` on. Whoever yields it keeps the file open until the next piece.

    Once the next piece is asked for, `sent` tells how many bytes of it the viewer was sent. When they are fewer than
    `length`, the file ended there, or `error` says why it could not be read on: the next piece has to begin at the
    byte `start + sent` of what is played, from another copy.

    With a `patience` of so many seconds, a disk that gives nothing for so long while the viewer waits is such an error
    (TimeoutError). The viewer who doesn't take what is there is waited for without end.
    """

    file: BinaryIO
    start: int
    length: int
    patience: float | None = None
    sent: int = field(default=0, init=False)
    error: OSError | None = field(default=None, init=False)

    @property
    def whole(self) -> bool:
        """Was all of it sent?"""
        return self.sent == self.length

    def read(self) -> bytes:
        """Up to half a megabyte of what was not sent yet; empty when the file ends early. Raises OSError."""
        return os.pread(self.file.fileno(), min(READ_BYTES, self.length - self.sent), self.start + self.sent)


Piece = bytes | FileSlice


class PiecesResponse(StreamingHttpResponse):
    """A streamed response. `close` is called when it is over, also when the viewer left before its first byte.

    The web server's own process sends a FileSlice by `sendfile` (web_worker.py); any other server gets its bytes.
    """

    by_kernel = False
    """May its files be sent by the server? Set for the request that it answers, as is:"""
    bodiless = False
    """Is it for HEAD?"""

    def __init__(
        self, pieces: AsyncIterator[Piece], *, status: int, headers: Mapping[str, str], close: Callable[[], None]
    ) -> None:
        super().__init__(_bytes_of(pieces), status=status, headers=dict(headers))
        self.pieces = pieces
        self._resource_closers.append(close)  # type: ignore[attr-defined]


async def _bytes_of(pieces: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
    """For servers that can't send files themselves."""
    async with closing(pieces):
        async for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            async for part in in_parts(piece):
                yield part


@asynccontextmanager
async def closing(pieces: AsyncIterator[Piece]) -> AsyncIterator[AsyncIterator[Piece]]:
    """The iterator itself; at the end it is closed where it can be, as generators can."""
    try:
        yield pieces
    finally:
        if aclose := getattr(pieces, "aclose", None):
            await aclose()


async def in_parts(piece: FileSlice) -> AsyncIterator[bytes]:
    """Its bytes; counts them in `piece.sent` when it is asked to go on."""
    while part := await next_part(piece):
        yield part
        piece.sent += len(part)


async def next_part(piece: FileSlice) -> bytes:
    """What follows the bytes that were sent, read in a thread. Empty when that is all that can be had of it."""
    if piece.whole:
        return b""
    try:
        async with asyncio.timeout(piece.patience):
            return await asyncio.get_running_loop().run_in_executor(FILES, piece.read)
    except OSError as error:
        piece.error = error
        return b""
