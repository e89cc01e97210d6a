"""Sends parts of files to a socket by the kernel (`sendfile`), from an event loop that never waits for a disk.

Only what the kernel has in memory goes out this way; what it would have to read first is left to who asked, and that
reads it in a thread. The socket is waited for in the loop. So a disk that hangs stops no other viewer, and a viewer who
has stopped reading holds no thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from typing import Protocol

EXTENSION = "http.response.zerocopysend"
"""The ASGI extension: its name in the scope and the type of its message (`file`, `offset`, `count`, `more_body`)."""

AVAILABLE = hasattr(os, "sendfile") and hasattr(os, "RWF_NOWAIT")
"""Linux has both."""

MOST_AT_ONCE = 2 * 1024 * 1024
# As much as kernels read ahead, so what is in memory begins or ends rarely between two looks.
_LOOK_EVERY = 128 * 1024
# For which what was in memory is taken to be still there.
_STAYS_SECONDS = 1.0
_NOT_SENDABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class ViewerLeft(ConnectionError):
    """The connection is gone; nothing that is sent arrives any more."""


class FileEnded(OSError):
    """The file gave fewer bytes than were to be sent. Why, if it is not just shorter, is in `__cause__`."""

    def __init__(self, sent: int) -> None:
        super().__init__(errno.EIO, "The file ended too early.")
        self.sent = sent
        """Bytes of it that did go out."""


class HasToBeRead(FileEnded):
    """What follows is not in memory, or lies where the kernel can't send from."""


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Transfer:
    """`length` bytes of a file from `start` on, for one socket, by way of a descriptor of its own."""

    def __init__(self, to: int, file: _HasDescriptor, start: int, length: int) -> None:
        self._socket = to
        self._file = file.fileno()
        self._start = start
        self._length = length
        self._in_memory_to = start
        self._look_again = 0.0
        self.sent = 0

    async def run(self) -> None:
        """Send it all. Raises ViewerLeft, FileEnded, HasToBeRead."""
        if not self._length:
            return
        self.sent = self._step()  # a socket that is empty takes at once what most requests want
        if self.sent < self._length:
            await self._send_rest()

    async def _send_rest(self) -> None:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        self._socket = os.dup(self._socket)  # the transport has registered its own with the loop
        try:
            loop.add_writer(self._socket, self._send_some, over)
            try:
                await over
            finally:
                loop.remove_writer(self._socket)
        finally:
            os.close(self._socket)

    def _send_some(self, over: asyncio.Future[None]) -> None:
        """Whenever the socket takes bytes."""
        if over.done():
            return
        try:
            self.sent += self._step()
            if self.sent == self._length:
                over.set_result(None)
        except OSError as error:
            over.set_exception(error)

    def _step(self) -> int:
        """How many bytes went out: 0 when the socket takes nothing now."""
        place = self._start + self.sent
        count = self._ready(place, min(MOST_AT_ONCE, self._length - self.sent))
        if not count:
            raise HasToBeRead(self.sent)
        try:
            sent = os.sendfile(self._socket, self._file, place, count)
        except BlockingIOError:
            return 0
        except OSError as error:
            if isinstance(error, ConnectionError) or not _connected(self._socket):
                raise ViewerLeft(error.errno, error.strerror) from error
            raise (HasToBeRead if error.errno in _NOT_SENDABLE else FileEnded)(self.sent) from error
        if not sent:
            raise FileEnded(self.sent)
        return sent

    def _ready(self, place: int, count: int) -> int:
        """How many of these bytes are in memory. Each part of the file is looked at once, unless that was long ago."""
        now = time.monotonic()
        if now > self._look_again:
            self._in_memory_to, self._look_again = place, now + _STAYS_SECONDS
        self._in_memory_to += _in_memory(self._file, self._in_memory_to, place + count - self._in_memory_to)
        return self._in_memory_to - place


def _in_memory(file: int, start: int, count: int) -> int:
    """How many of these bytes can be sent without waiting for a disk, or for a server on which the file lies."""
    byte, place = [bytearray(1)], start
    while place < start + count:
        try:
            os.preadv(file, byte, place, os.RWF_NOWAIT)
        except OSError:  # it would have to wait, or can't tell
            break
        place += _LOOK_EVERY - place % _LOOK_EVERY
    return min(place - start, count)


def _connected(descriptor: int) -> bool:
    """Has the socket still a peer? Other errors than a reset (a time-out, a lost route) end a connection too."""
    with socket.socket(fileno=os.dup(descriptor)) as ours:
        try:
            ours.getpeername()
        except OSError:
            return False
        return True
