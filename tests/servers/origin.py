"""A real HTTP/1.1 origin on loopback that serves a folder and misbehaves where it is told to."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from tests.servers.misbehaviour import (
    FOREVER,
    AtMost,
    Body,
    Changed,
    Chunked,
    Cut,
    Headers,
    Misbehaviour,
    Needs,
    NoRange,
    Redirect,
    Slow,
    Stall,
    Status,
    Total,
    WrongRange,
    use_up,
)

__all__ = [
    "AtMost",
    "Body",
    "Changed",
    "Chunked",
    "Cut",
    "Headers",
    "Misbehaviour",
    "Needs",
    "NoRange",
    "Origin",
    "Redirect",
    "Seen",
    "Slow",
    "Stall",
    "Status",
    "Total",
    "WrongRange",
]

_TYPES = {
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".html": "text/html; charset=utf-8",
}


@dataclass(frozen=True)
class Seen:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]


class Origin:
    """`with Origin(folder) as origin:` serves on a free port of 127.0.0.1.

    Say `origin.misbehave("/x.mp4", Cut(after=1000, times=1), NoRange())`; all that are still due apply
    together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[Seen] = []
        self._served: Counter[str] = Counter()
        self._active: Counter[str] = Counter()
        self.most_active = 0
        """How many requests were being answered at once at most."""
        self._plans: dict[str, list[Misbehaviour]] = {}
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.origin = self

    @property
    def host_port(self) -> tuple[str, int]:
        """What FETCH_ALLOW_HOSTS must hold to fetch from here."""
        return "127.0.0.1", self._server.server_address[1]

    @property
    def base_url(self) -> str:
        """Without a slash at its end."""
        return "http://{}:{}".format(*self.host_port)

    def url(self, path: str) -> str:
        """The URL of a path that begins with a slash."""
        return self.base_url + path

    def misbehave(self, path: str, *what: Misbehaviour) -> None:
        """From now on; replaces what was said about this path before."""
        with self._lock:
            self._plans[path] = list(what)

    def put(self, path: str, content: bytes) -> str:
        """Serve `content` at `path`; returns its URL."""
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return self.url(path)

    def count(self, path: str) -> int:
        """How many requests for `path` arrived."""
        return sum(seen.path == path for seen in self.requests)

    def served(self, path: str) -> int:
        """How many bytes of `path` were handed to the network, over all requests."""
        with self._lock:
            return self._served[path]

    def add_served(self, path: str, size: int) -> None:
        """Count bytes that were written."""
        with self._lock:
            self._served[path] += size

    def enter(self, path: str, most: int) -> bool:
        """One more is going to be answered, unless so many are already; `leave` afterwards."""
        with self._lock:
            if self._active[path] >= most:
                return False
            self._active[path] += 1
            self.most_active = max(self.most_active, self._active[path])
            return True

    def leave(self, path: str) -> None:
        """It has been answered."""
        with self._lock:
            self._active[path] -= 1

    def due(self, path: str, seen: Seen) -> dict[type[Misbehaviour], Any]:
        """Log a request and use up what goes wrong with it."""
        with self._lock:
            self.requests.append(seen)
            return use_up(self._plans.get(path, []))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    origin: Origin

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    chunked = False

    def do_GET(self) -> None:
        self.chunked = False
        self.name = path = unquote(urlsplit(self.path).path)
        self.due = self.server.origin.due(path, Seen(self.command, path, dict(self.headers)))
        limit = self.due.get(AtMost, AtMost(connections=FOREVER))
        if not self.server.origin.enter(path, limit.connections):
            self._status(Status(code=limit.code, headers=limit.headers))
            return
        try:
            self._answer(path)
        finally:
            self.server.origin.leave(path)

    def _answer(self, path: str) -> None:
        needed = self.due[Needs].headers if Needs in self.due else {}
        if any(self.headers.get(name) != value for name, value in needed.items()):
            self._status(Status(code=403))
            return
        for kind, answer in ((Status, self._status), (Redirect, self._redirect), (Body, self._body)):
            if kind in self.due:
                answer(self.due[kind])
                return
        self._file(path)

    do_HEAD = do_GET  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Keep the tests' output quiet."""

    def _status(self, plan: Status) -> None:
        self._head(plan.code, {"Content-Length": "6", "Content-Type": "text/plain", **plan.headers})
        self._send(b"status")

    def _redirect(self, plan: Redirect) -> None:
        self._head(302, {"Location": plan.to, "Content-Length": "0"})

    def _body(self, plan: Body) -> None:
        length = len(plan.content) if plan.length == -1 else plan.length
        headers = {"Content-Type": plan.content_type, **plan.headers}
        self._head(200, headers if length is None else {"Content-Length": str(length), **headers})
        self._send(plan.content)
        self.close_connection = length != len(plan.content)

    def _file(self, path: str) -> None:
        file = (self.server.origin.folder / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.server.origin.folder.resolve()) or not file.is_file():
            self._status(Status(code=404))
            return
        content = file.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if Changed in self.due:
            etag = self.due[Changed].etag
        headers = {"ETag": etag, "Content-Type": _TYPES.get(file.suffix, "application/octet-stream")}
        if Headers in self.due:
            headers |= self.due[Headers].headers
        headers = {name: value for name, value in headers.items() if value}
        start, end = self._wanted(len(content), headers.get("ETag") or headers.get("Last-Modified", ""))
        status, body = 200, content
        if start is not None:
            status, body = 206, content[start : end + 1]
            headers["Content-Range"] = f"bytes {start}-{end}/{self.due.get(Total, Total(size=len(content))).size}"
        if NoRange not in self.due:
            headers["Accept-Ranges"] = "bytes"
        self.chunked = status == 200 and Chunked in self.due
        length = {"Transfer-Encoding": "chunked"} if self.chunked else {"Content-Length": str(len(body))}
        self._head(status, length | headers)
        self._send(body)

    def _wanted(self, size: int, validator: str) -> tuple[int | None, int]:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        stale = self.headers.get("If-Range", validator) != validator and Changed not in self.due
        if match is None or stale or NoRange in self.due:
            return None, size - 1
        start = int(match[1]) + (self.due[WrongRange].shift if WrongRange in self.due else 0)
        return start, min(int(match[2] or size - 1), size - 1)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        if self.command == "HEAD":
            return
        if Cut in self.due:
            self._write(body[: self.due[Cut].after])
            self._hang_up()
        elif Stall in self.due:
            self._write(body[: self.due[Stall].after])
            self.server.origin.closing.wait(60)
            self._hang_up()
        else:
            self._write(body)
            self.wfile.write(b"0\r\n\r\n" if self.chunked else b"")

    def _write(self, body: bytes) -> None:
        slow = Slow in self.due
        step = max(1, self.due[Slow].bytes_per_second // 20) if slow else 64 * 1024
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
            self.server.origin.add_served(self.name, len(piece))
            if slow:
                time.sleep(0.05)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
