"""Responses made of pieces: bytes, and parts of files on this host that need not pass through Python."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.http import HttpResponseBase

_READ_BYTES = 512 * 1024


@dataclass(frozen=True)
class FileSlice:
    """`length` bytes of an open file from `start` on. Whoever yields it keeps the file open until the next piece."""

    file: BinaryIO
    start: int
    length: int

    def read(self, done: int) -> bytes:
        """Up to half a megabyte of what follows the first `done` bytes; empty when the file ends early."""
        return os.pread(self.file.fileno(), min(_READ_BYTES, self.length - done), self.start + done)


Piece = bytes | FileSlice


class PiecesResponse(HttpResponseBase):
    """A streamed response. `close` is called when it is over, also when the viewer left before its first byte."""

    streaming = True
    is_async = True

    def __init__(
        self, pieces: AsyncIterator[Piece], *, status: int, headers: Mapping[str, str], close: Callable[[], None]
    ) -> None:
        super().__init__(status=status, headers=dict(headers))
        self.pieces = pieces
        self._resource_closers.append(close)  # type: ignore[attr-defined]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as bytes, for servers that can't send files themselves."""
        async for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            done = 0
            while done < piece.length and (part := await asyncio.to_thread(piece.read, done)):
                done += len(part)
                yield part

    def getvalue(self) -> Any:
        """There is none before it was streamed."""
        raise AttributeError("A streamed response has no content.")
