"""Viewers: plain sockets that take what comes and throw it away, so that little of the processor goes into them.

The kernel drops the bodies itself (recv with MSG_TRUNC, tcp(7)): they are counted, never copied.
"""

from __future__ import annotations

import hashlib
import math
import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 1024 * 1024
_STALLED_BUFFER = 64 * 1024
_PATIENCE = 10.0
_PAUSE = 0.02
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

Span = tuple[int, int]
"""The first and the last byte that are asked for."""


class AnswerError(Exception):
    """It isn't what was asked for."""


@dataclass(frozen=True)
class Pull:
    """What all viewers together have taken."""

    seconds: float
    size: int
    """Bytes of bodies."""
    first: list[float]
    """Milliseconds from the start of each one's connection to the first byte of its body."""


class Viewer:
    """One connection and one request."""

    def __init__(self, url: str, span: Span | None, buffer: int = 0) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        wanted = f"{span[0]}-{span[1]}" if span else "0-"
        self.started = time.perf_counter()
        self.first = math.inf
        self.left = -1
        """Bytes of the body that haven't come; -1 before the head has."""
        self._head = b""
        self.connection = socket.socket()
        if buffer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.connection.settimeout(_PATIENCE)
        self.connection.connect((host, port))
        request = f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nRange: bytes={wanted}\r\nAccept: */*\r\n\r\n"
        self.connection.sendall(request.encode())

    def read_head(self) -> int:
        """Read what there is until the head is whole; returns how many bytes of the body came with it."""
        piece = self.connection.recv(_HEAD_BYTES)
        self._head += piece
        head, end, body = self._head.partition(b"\r\n\r\n")
        if not piece or (not end and len(self._head) > _HEAD_BYTES):
            raise AnswerError(f"there was no whole head: {self._head[:200]!r}")
        if not end:
            return 0
        found = _LENGTH.search(head + b"\r\n")
        if not head.startswith(b"HTTP/1.1 206 ") or not found:
            raise AnswerError(f"206 with a length was expected: {head[:400]!r}")
        self.left = int(found[1]) - len(body)
        if body:
            self.came()
        return len(body)

    def came(self) -> None:
        """The first byte of the body did."""
        self.first = (time.perf_counter() - self.started) * 1000

    def wait_for_first(self) -> float:
        """Milliseconds to the first byte of the body; infinite when it doesn't come in time."""
        try:
            while self.left < 0:
                self.read_head()
            if self.first == math.inf and self.connection.recv(1):
                self.came()
        except TimeoutError:
            return math.inf
        return self.first


def pull(url: str, spans: Sequence[Span]) -> Pull:
    """A viewer for each span, all at once, until each one has all of it."""
    started = time.perf_counter()
    viewers = [Viewer(url, span) for span in spans]
    try:
        size = _take_all({viewer.connection.fileno(): viewer for viewer in viewers})
    finally:
        for viewer in viewers:
            viewer.connection.close()
    return Pull(time.perf_counter() - started, size, [viewer.first for viewer in viewers])


def _take_all(viewers: dict[int, Viewer]) -> int:
    poll, scrap, size = select.epoll(), bytearray(_PIECE_BYTES), 0
    with poll:
        for number in viewers:
            poll.register(number, select.EPOLLIN)
        while viewers:
            ready = poll.poll(_PATIENCE)
            if not ready:
                raise AnswerError(f"{len(viewers)} viewers got nothing for {_PATIENCE:g} seconds")
            for number, _events in ready:
                viewer = viewers[number]
                if viewer.left < 0:
                    size += viewer.read_head()
                else:
                    came = viewer.connection.recv_into(scrap, min(viewer.left, _PIECE_BYTES), socket.MSG_TRUNC)
                    if not came:
                        raise AnswerError(f"{viewer.left} bytes were missing at the end")
                    if viewer.first == math.inf:
                        viewer.came()
                    viewer.left -= came
                    size += came
                if viewer.left == 0:
                    poll.unregister(number)
                    del viewers[number]
    return size


def first_bytes(url: str, times: int) -> list[float]:
    """Milliseconds to the first byte, one viewer after another: each asks for the whole and leaves."""
    found = []
    for _ in range(times):
        viewer = Viewer(url, None)
        with viewer.connection:
            found.append(viewer.wait_for_first())
        time.sleep(_PAUSE)
    return found


@contextmanager
def stalling(url: str, viewers: int) -> Iterator[None]:
    """So many viewers who have begun and take nothing more."""
    stalled = [Viewer(url, None, buffer=_STALLED_BUFFER) for _ in range(viewers)]
    try:
        for viewer in stalled:
            if viewer.wait_for_first() == math.inf:
                raise AnswerError("a viewer that was to stall got nothing")
        time.sleep(0.5)  # until all buffers on the way are full
        yield
    finally:
        for viewer in stalled:
            viewer.connection.close()


def digest(url: str, size: int) -> str:
    """The sha256 of the whole, read properly."""
    viewer, found = Viewer(url, (0, size - 1)), hashlib.sha256()
    with viewer.connection:
        head, _, body = _read_head(viewer.connection).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 206 "):
            raise AnswerError(f"206 was expected: {head[:400]!r}")
        found.update(body)
        left = size - len(body)
        while left > 0 and (piece := viewer.connection.recv(min(left, _PIECE_BYTES))):
            found.update(piece)
            left -= len(piece)
    return found.hexdigest()


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and (piece := connection.recv(_HEAD_BYTES)):
        head += piece
    return head
