"""Sends parts of files to a socket by the kernel (`sendfile`), from an event loop that never waits for a disk.

The file is read in a thread, the socket is waited for in the loop: a disk that hangs stops no other viewer, a viewer
who has stopped reading holds no thread.
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

MOST_AT_ONCE = 4 * 1024 * 1024
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
            while self.sent < self._length:
                wanted = min(MOST_AT_ONCE, self._length - self.sent)
                step = FILES.submit(self._step, wanted)
                sent = await asyncio.wrap_future(step)
                self.sent += sent
                if sent < wanted:
                    await _writable(loop, self._socket)
        finally:
            if step is None:
                self._close()
            else:  # at once, unless a thread is still reading
                step.add_done_callback(lambda _: self._close())

    def _step(self, wanted: int) -> int:
        """In a thread. 0 when the socket takes nothing now."""
        try:
            sent = os.sendfile(self._socket, self._file, self._start + self.sent, wanted)
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


async def _writable(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    """Until the socket takes bytes again, or its viewer has left."""
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _done, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _connected(descriptor: int) -> bool:
    """Has the socket still a peer? Other errors than a reset (a time-out, a lost route) end a connection too."""
    with socket.socket(fileno=os.dup(descriptor)) as ours:
        try:
            ours.getpeername()
        except OSError:
            return False
        return True
