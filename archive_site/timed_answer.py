"""Reading an answer from a socket whose other end may send slowly, without end, or nothing.

A time-out of a socket starts anew with every byte. Here the header has one for all of it, and a body has to make
progress; the lines of header, chunk sizes and trailers are bounded where http.client bounds one line, or urllib3 none.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import TYPE_CHECKING, Any

from archive_site.fetch_errors import HeaderTooLarge, Stalled

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from archive_site.addresses import Policy

HEAD_BYTES = 64 * 1024


class TimedAnswer(http.client.HTTPResponse):
    """An answer whose header and body come within the times of a policy."""

    def __init__(self, sock: socket.socket, *args: Any, policy: Policy, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self._timed = _TimedSocket(sock, policy)
        self.fp = _BoundedLines(self._timed)

    def begin(self, **options: Any) -> None:
        """Read the header; newer Pythons have options for it."""
        super().begin(**options)
        self._timed.head_is_read()


class _TimedSocket(io.RawIOBase):
    """What comes from `sock`, in time or not at all. Only the time spent in waiting for it counts."""

    def __init__(self, sock: socket.socket, policy: Policy) -> None:
        self._sock, self._policy = sock, policy
        self._held: io.IOBase = sock.makefile("rb", buffering=0)
        self._head_ends: float | None = time.monotonic() + policy.head_timeout
        self._patience = policy.first_byte_timeout
        self._came = 0
        self._waited = 0.0

    def head_is_read(self) -> None:
        """From now on it is the body that is waited for."""
        self._head_ends = None
        self._came, self._waited = 0, 0.0
        self._sock.settimeout(self._policy.read_timeout)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        started = time.monotonic()
        if self._head_ends is not None:
            left = min(self._patience, self._head_ends - started)
            if left <= 0:
                raise TimeoutError("the header took too long")
            self._sock.settimeout(left)
            self._patience = self._policy.read_timeout
        size = self._sock.recv_into(buffer)
        self._came += size
        if self._came >= self._policy.slow_bytes:
            self._came, self._waited = 0, 0.0
        elif size:
            self._waited += time.monotonic() - started
            if self._waited > self._policy.slow_seconds:
                raise Stalled("next to nothing came")
        return size

    def close(self) -> None:
        self._held.close()
        super().close()


class _BoundedLines(io.BufferedReader):
    """No more than HEAD_BYTES of lines in a row."""

    _lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        left = HEAD_BYTES - self._lines + 1
        line = super().readline(left if size is None or size < 0 else min(size, left))
        self._lines += len(line)
        if self._lines > HEAD_BYTES:
            raise HeaderTooLarge("too many lines")
        return line

    def read1(self, size: int = -1, /) -> bytes:
        self._lines = 0
        return super().read1(size)

    def read(self, size: int | None = -1, /) -> bytes:
        self._lines = 0
        return super().read(size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._lines = 0
        return super().readinto(buffer)
