"""Requests at a steady rate, whether earlier ones were answered or not: as many viewers ask who don't wait in turn."""

from __future__ import annotations

import math
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.playing.viewers import AnswerError

_PIECE_BYTES = 64 * 1024
_PATIENCE = 10.0


@dataclass(eq=False)
class _Connection:
    link: socket.socket
    due: float = 0.0
    """When its request should have been sent; how late it was sent counts as waiting."""
    came: bytearray = field(default_factory=bytearray)

    def answered(self) -> bool:
        """Is the answer whole? Raises AnswerError unless it is 200."""
        head, end, body = bytes(self.came).partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.lower().split(b"\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise AnswerError(f"200 was expected: {head[:300]!r}")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
        return body.endswith(b"\r\n0\r\n\r\n") if length is None else len(body) >= length


class Asking:
    """Connections that are kept; another is opened when all are waiting."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n\r\n".encode()
        self._free: deque[_Connection] = deque()
        self._busy: dict[int, _Connection] = {}
        self._open: dict[int, _Connection] = {}
        self._poll = select.epoll()
        self.again = 0
        """Requests that were sent again on another connection."""
        self.waits: list[float] = []
        """Seconds from the moment when each request was due to the last byte of its answer."""

    def at_rate(self, rate: float, seconds: float) -> list[float]:
        """Milliseconds that each answer took. Raises AnswerError for a wrong answer, or none."""
        started, number, total = time.perf_counter(), 0, round(rate * seconds)
        try:
            while number < total or self._busy:
                due = started + number / rate if number < total else math.inf
                while time.perf_counter() < due:
                    late = min(due, time.perf_counter() + _PATIENCE)
                    if not self._look(max(0.0, late - time.perf_counter())) and due == math.inf:
                        if not self._busy:
                            break
                        raise AnswerError(f"{len(self._busy)} requests were not answered.")
                if number < total:
                    self._ask(due)
                    number += 1
        finally:
            self._close()
        return [1000 * wait for wait in self.waits]

    def _ask(self, due: float) -> None:
        if self._free:
            connection = self._free.popleft()
        else:
            connection = _Connection(socket.create_connection(self._address, timeout=_PATIENCE))
            self._poll.register(connection.link.fileno(), select.EPOLLIN)
            self._open[connection.link.fileno()] = connection
        connection.due = due
        connection.link.sendall(self._request)
        self._busy[connection.link.fileno()] = connection

    def _look(self, seconds: float) -> bool:
        """Whether anything came in that time."""
        ready = self._poll.poll(seconds)
        for number, _events in ready:
            connection = self._open[number]
            piece = connection.link.recv(_PIECE_BYTES)
            if not piece:
                self._closed_by_server(connection)
                continue
            connection.came += piece
            if connection.answered():
                self.waits.append(time.perf_counter() - connection.due)
                connection.came.clear()
                self._free.append(self._busy.pop(number))
        return bool(ready)

    def _closed_by_server(self, connection: _Connection) -> None:
        """Servers end connections that have been idle; a request that crosses this on its way is sent again."""
        if connection.came:
            raise AnswerError("The connection was closed in the middle of an answer.")
        number = connection.link.fileno()
        self._poll.unregister(number)
        del self._open[number]
        connection.link.close()
        if self._busy.pop(number, None):
            self.again += 1
            self._ask(connection.due)
        else:
            self._free.remove(connection)

    def _close(self) -> None:
        for connection in self._open.values():
            connection.link.close()
        self._poll.close()
