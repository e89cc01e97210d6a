"""Sends parts of files to a socket by the kernel (`sendfile`), from an event loop that never waits for a disk.

What the kernel has in memory goes out at once; what it must read first, in a thread. The socket is waited for in the
loop. So a disk that hangs stops no other viewer, and a viewer who has stopped reading holds no thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from concurrent.futures import Future
from typing import Protocol

from archive_site.pieces import FILES

EXTENSION = "http.response.zerocopysend"
"""The ASGI extension: its name in the scope and the type of its message (`file`, `offset`, `count`, `more_body`)."""

MOST_AT_ONCE = 1024 * 1024
# As much as kernels read ahead, so what is in memory begins or ends rarely between two looks.
_LOOK_EVERY = 128 * 1024
_NOT_SENDABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class ViewerLeft(ConnectionError):
    """The connection is gone; nothing that is sent arrives any more."""


class FileEnded(OSError):
    """The file gave fewer bytes than were to be sent. Why, if it is not just shorter, is in `__cause__`."""

    def __init__(self, sent: int) -> None:
        super().__init__(errno.EIO, "The file ended too early.")
        self.sent = sent
        """Bytes of it that did go out."""


class NotSendable(FileEnded):
    """The file lies where the kernel can't send from: it has to be read."""


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Transfer:
    """`length` bytes of a file from `start` on, for one socket. It may be awaited once.

    It works on descriptors of its own, for a thread may still use them when the viewer has left and the response has
    closed the file.
    """

    def __init__(self, to: int, file: _HasDescriptor, start: int, length: int) -> None:
        self._start = start
        self._length = length
        self.sent = 0
        self._file = os.dup(file.fileno())
        try:
            self._socket = os.dup(to)
        except OSError:
            os.close(self._file)
            raise

    async def run(self) -> None:
        """Send it all. Raises ViewerLeft, FileEnded."""
        loop = asyncio.get_running_loop()
        step: Future[int] | None = None
        try:
            while True:
                await self._send_from_memory(loop)
                if self.sent == self._length:
                    return
                step = FILES.submit(self._step)
                self.sent += await asyncio.wrap_future(step)
        finally:
            if step is None:
                self._close()
            else:  # at once, unless a thread is still reading
                step.add_done_callback(lambda _: self._close())

    async def _send_from_memory(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whenever the socket takes bytes, up to the end or to those that are not in memory."""
        over: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._socket, self._send_some, over)
        try:
            await over
        finally:
            loop.remove_writer(self._socket)

    def _send_some(self, over: asyncio.Future[None]) -> None:
        if over.done():
            return
        try:
            if self.sent < self._length and self._in_memory():
                self.sent += self._step()
                if self.sent < self._length:
                    return
        except OSError as error:
            over.set_exception(error)
        else:
            over.set_result(None)

    def _in_memory(self) -> bool:
        """Can the next bytes be sent without waiting for a disk, or for a server on which the file lies?"""
        start, stop = self._start + self.sent, self._start + self.sent + self._next()
        byte = [bytearray(1)]
        try:
            for place in (*range(start, stop, _LOOK_EVERY), stop - 1):
                os.preadv(self._file, byte, place, os.RWF_NOWAIT)
        except OSError:  # it would have to wait, or can't tell
            return False
        return True

    def _next(self) -> int:
        return min(MOST_AT_ONCE, self._length - self.sent)

    def _step(self) -> int:
        """How many bytes went out: 0 when the socket takes nothing now."""
        try:
            sent = os.sendfile(self._socket, self._file, self._start + self.sent, self._next())
        except BlockingIOError:
            return 0
        except OSError as error:
            if isinstance(error, ConnectionError) or not _connected(self._socket):
                raise ViewerLeft(error.errno, error.strerror) from error
            raise (NotSendable if error.errno in _NOT_SENDABLE else FileEnded)(self.sent) from error
        if not sent:
            raise FileEnded(self.sent)
        return sent

    def _close(self) -> None:
        os.close(self._file)
        os.close(self._socket)


def _connected(descriptor: int) -> bool:
    """Has the socket still a peer? Other errors than a reset (a time-out, a lost route) end a connection too."""
    with socket.socket(fileno=os.dup(descriptor)) as ours:
        try:
            ours.getpeername()
        except OSError:
            return False
        return True
