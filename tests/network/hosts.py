"""Who lives in the network: a hostile public web server, and the inside that nobody may reach."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.network.namespace import PUBLIC_4, PUBLIC_6, has_ipv6

_STEP = 256 * 1024


@dataclass(frozen=True)
class Page:
    """What the public server answers at a path."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    location: str = ""
    ranged: bool = False
    """Ranges are given, and slowly, as of a file that is worth several connections and mirrors."""


class Public:
    """The hostile server, on port 80 of PUBLIC_4 and PUBLIC_6. It closes after each answer."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}
        self._numbers = itertools.count()
        self.seen: list[str] = []
        """The paths that were asked for."""
        servers = [_Server4((PUBLIC_4, 80), _Handler)]
        if has_ipv6():
            servers.append(_Server6((PUBLIC_6, 80), _Handler))
        for server in servers:
            server.public = self
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def put(self, suffix: str, body: str | bytes, content_type: str = Page.content_type) -> str:
        """Serve `body` at a path of its own that ends in `suffix`; returns its URL."""
        return self._put(suffix, Page(body.encode() if isinstance(body, str) else body, content_type=content_type))

    def put_large(self, suffix: str, body: bytes, content_type: str) -> str:
        """Serve `body` in ranges, at 25 MB/s a connection; returns its URL."""
        return self._put(suffix, Page(body, content_type=content_type, ranged=True))

    def redirect(self, status: int, location: str, suffix: str = "") -> str:
        """The URL of a redirect to anywhere."""
        return self._put(suffix, Page(status=status, location=location))

    def status(self, status: int, suffix: str = "") -> str:
        """The URL of nothing but a status."""
        return self._put(suffix, Page(status=status))

    def page(self, path: str, host: str) -> Page:
        """What is at `path`; /again redirects to itself under the name that was used, /… else is a 404."""
        self.seen.append(path)
        if path.endswith("/again"):
            return Page(status=302, location=f"http://{host}{path}")
        return self._pages.get(path, Page(b"nothing", 404))

    def _put(self, suffix: str, page: Page) -> str:
        path = f"/{next(self._numbers)}/x{suffix}"
        self._pages[path] = page
        return f"http://{PUBLIC_4}{path}"


class _Server4(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    public: Public

    def server_bind(self) -> None:
        # The inside listens on the same port of every address; the more exact socket wins.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away belong to it."""


class _Server6(_Server4):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server4

    def do_GET(self) -> None:
        page = self.server.public.page(self.path.partition("?")[0], self.headers.get("Host", ""))
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if page.ranged else None
        self.send_response(206 if span else page.status)
        if page.location:
            # As it is: what a header may not hold is a test too.
            self._headers_buffer.append(b"Location: " + page.location.encode() + b"\r\n")  # type: ignore[attr-defined]
        self.send_header("Content-Type", page.content_type)
        self._body(page, span)

    def _body(self, page: Page, span: re.Match[str] | None) -> None:
        size = len(page.body)
        start, end = (int(span[1]), min(int(span[2] or size - 1), size - 1) + 1) if span else (0, size)
        self.send_header("Content-Length", str(end - start))
        if page.ranged:
            self.send_header("ETag", f'"{size}"')
            self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        for at in range(start, end, _STEP):
            self.wfile.write(page.body[at : min(at + _STEP, end)])
            if page.ranged:
                time.sleep(0.01)

    do_HEAD = do_POST = do_GET  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Keep the report clean."""


def _listener(port: int, kind: socket.SocketKind) -> socket.socket:
    """On every address but those where somebody listens more exactly."""
    family = socket.AF_INET6 if has_ipv6() else socket.AF_INET
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("", port))
    if kind == socket.SOCK_STREAM:
        listener.listen(128)
    return listener


class Inside:
    """Listens on some ports, TCP and UDP, of every address there is but the public server's; writes down who comes."""

    def __init__(self, ports: set[int]) -> None:
        self.visits: list[str] = []
        """Address and first line of each connection that was made."""
        self._lock = threading.Lock()
        self._marks: set[str] = set()
        self._marked = threading.Condition(self._lock)
        self._ports = ports
        for port in ports:
            serve = (self._serve, socket.SOCK_STREAM), (self._overhear, socket.SOCK_DGRAM)
            for work, kind in serve:
                threading.Thread(target=work, args=(_listener(port, kind),), daemon=True).start()

    def visits_so_far(self) -> list[str]:
        """All visits by connections that exist now: the queue of a port is first in, first out."""
        for port in self._ports:
            mark = f"mark-{port}-{len(self._marks)}"
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(f"{mark}\r\n".encode())
                with self._marked:
                    assert self._marked.wait_for(lambda mark=mark: mark in self._marks, 10)  # type: ignore[misc]
        with self._lock:
            return list(self.visits)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                self._note(connection)

    def _overhear(self, listener: socket.socket) -> None:
        while True:
            packet, sender = listener.recvfrom(4096)
            with self._lock:
                self.visits.append(f"UDP to port {listener.getsockname()[1]} from {sender[0]}: {packet[:40]!r}")

    def _note(self, connection: socket.socket) -> None:
        host, port = connection.getsockname()[:2]
        connection.settimeout(1)
        try:
            line = connection.recv(4096).partition(b"\r\n")[0].decode("latin-1")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ninside")
        except OSError as error:
            line = type(error).__name__
        with self._marked:
            if re.fullmatch(r"mark-\d+-\d+", line):
                self._marks.add(line)
                self._marked.notify_all()
            elif port != 443 or host.removeprefix("::ffff:") not in {PUBLIC_4, PUBLIC_6}:
                # Browsers try https first; on the public server nobody is harmed by it.
                self.visits.append(f"[{host}]:{port} {line[:200]}")
