"""The origin, a process of its own: `python -m benchmarks.downloads.origin MANIFEST BEHAVIOUR`.

HTTP/1.1 with keep-alive, ranges and strong ETags, from files that lie in the page cache, by sendfile. Prints its port;
for each line on its standard input it prints what it has served, as JSON; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.downloads.behaviour import Behaviour
from benchmarks.downloads.pacer import Pacer

_SEND_BUFFER = 256 * 1024
_LONGEST_HEAD = 64 * 1024
_MODIFIED = "Sat, 01 Nov 2025 12:00:00 GMT"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")  # RFC 9110 §14.1.2, one range
_REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found", 416: "Range Not Satisfiable", 503: "Unavailable"}
_SLOWER = 10


@dataclass(frozen=True)
class Slice:
    """A part of a file, served under a path of its own."""

    file: int
    offset: int
    size: int
    content_type: str
    etag: str


@dataclass(frozen=True)
class Request:
    """What is read of a request."""

    method: str
    path: str
    headers: dict[str, str]

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """Raises ValueError when it isn't HTTP."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _version = first.split(" ")
        fields = (line.partition(":") for line in lines if line)
        return cls(method, path.partition("?")[0], {name.lower(): value.strip() for name, _, value in fields})

    def asked_range(self, served: Slice) -> tuple[int, int] | None:
        """First byte and the one after the last; None: the whole. Raises ValueError for one that lies outside."""
        if self.headers.get("if-range", served.etag) not in {served.etag, _MODIFIED}:
            return None
        found = _RANGE.match(self.headers.get("range", ""))
        if not found or not any(found.groups()):
            return None
        first, last = found.groups()
        if not first:
            return max(0, served.size - int(last)), served.size
        start, end = int(first), min(int(last) + 1, served.size) if last else served.size
        if start >= end:
            raise ValueError("outside")
        return start, end


class Origin:
    """Answers requests as `behaviour` wants it."""

    def __init__(self, files: dict[str, Slice], behaviour: Behaviour) -> None:
        self._files, self._behaviour = files, behaviour
        self._pacer = Pacer()
        self._random = random.Random(behaviour.seed)
        self._connections = self._requests = self._refused = self._cuts = self._under_way = self._most_at_once = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def counts(self) -> dict[str, float]:
        """Since the start; `served` is bytes of bodies, `cpu` the seconds of processor time that all this took here."""
        return {
            "served": self._pacer.served,
            "connections": self._connections,
            "requests": self._requests,
            "refused": self._refused,
            "cuts": self._cuts,
            "most_at_once": self._most_at_once,
            "cpu": time.process_time(),
        }

    async def serve(self, listener: socket.socket) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._talk(connection, self._connections))
            self._connections += 1
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _talk(self, connection: socket.socket, number: int) -> None:
        behaviour = self._behaviour
        rate = behaviour.rate
        if rate and behaviour.slow_every and number % behaviour.slow_every == behaviour.slow_every - 1:
            rate //= _SLOWER
        wait, rest = 2 * behaviour.round_trip, b""
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            connection.setblocking(False)
            try:
                while True:
                    head, rest = await _read_head(connection, rest)
                    if not await self._answer(connection, Request.parse(head), rate, wait):
                        return
                    wait = behaviour.round_trip
            except (OSError, EOFError, ValueError):
                return  # the client left, or doesn't speak HTTP

    async def _answer(self, connection: socket.socket, request: Request, rate: int | None, wait: float) -> bool:
        """Whether the connection may be used again."""
        self._requests += 1
        if self._is_busy():
            self._refused += 1
            await asyncio.sleep(wait)
            await _send_head(connection, 503, {"Content-Length": "0"})
            return True
        self._under_way += 1
        self._most_at_once = max(self._most_at_once, self._under_way)
        try:
            await asyncio.sleep(wait)
            return await self._answer_file(connection, request, rate)
        finally:
            self._under_way -= 1

    def _is_busy(self) -> bool:
        behaviour = self._behaviour
        if behaviour.answers is not None and self._under_way >= behaviour.answers:
            return True
        return self._requests > 1 and self._random.random() < behaviour.busy_share

    async def _answer_file(self, connection: socket.socket, request: Request, rate: int | None) -> bool:
        served = self._files.get(request.path)
        if served is None:
            await _send_head(connection, 404, {"Content-Length": "0"})
            return True
        try:
            part = request.asked_range(served)
        except ValueError:
            await _send_head(connection, 416, {"Content-Length": "0", "Content-Range": f"bytes */{served.size}"})
            return True
        start, end = part or (0, served.size)
        headers = {
            "Content-Type": served.content_type,
            "Content-Length": str(end - start),
            "Accept-Ranges": "bytes",
            "ETag": served.etag,
            "Last-Modified": _MODIFIED,
        }
        if part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{served.size}"
        await _send_head(connection, 206 if part else 200, headers)
        if request.method == "HEAD":
            return True
        size = self._until_cut(end - start)
        await self._pacer.send(connection, served.file, served.offset + start, size, rate)
        return size == end - start

    def _until_cut(self, size: int) -> int:
        if self._behaviour.cut_share and self._random.random() < self._behaviour.cut_share:
            after = self._random.randrange(1, self._behaviour.cut_within)
            if after < size:
                self._cuts += 1
                return after
        return size


async def _read_head(connection: socket.socket, rest: bytes) -> tuple[bytes, bytes]:
    loop = asyncio.get_running_loop()
    while b"\r\n\r\n" not in rest:
        piece = await loop.sock_recv(connection, 16 * 1024)
        if not piece or len(rest) > _LONGEST_HEAD:
            raise EOFError
        rest += piece
    head, _, rest = rest.partition(b"\r\n\r\n")
    return head, rest


async def _send_head(connection: socket.socket, status: int, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, "Connection: keep-alive", "", ""]).encode("latin-1")
    await asyncio.get_running_loop().sock_sendall(connection, head)


def load(manifest: Path) -> dict[str, Slice]:
    """The files that a manifest names: path → file, offset, size, content type."""
    opened: dict[str, int] = {}
    files = {}
    for path, (name, offset, size, content_type) in json.loads(manifest.read_text(encoding="utf-8")).items():
        if name not in opened:
            opened[name] = os.open(manifest.parent / name, os.O_RDONLY)
        files[path] = Slice(opened[name], offset, size, content_type, f'"{path.strip("/")}-{size}"')
    return files


def _obey(origin: Origin) -> None:
    for _line in sys.stdin:
        sys.stdout.write(json.dumps(origin.counts()) + "\n")
        sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """The process."""
    origin = Origin(load(Path(sys.argv[1])), Behaviour(**json.loads(sys.argv[2])))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.setblocking(False)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        threading.Thread(target=_obey, args=[origin], daemon=True).start()
        asyncio.run(origin.serve(listener))


if __name__ == "__main__":
    main()
