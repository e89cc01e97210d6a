"""One connection to a `GuardProxy`: who asks, for what, and carrying the bytes."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from archive_site.addresses import AddressRefused, check_url, host_and_port

if TYPE_CHECKING:
    from archive_site.guard_proxy import GuardProxy

_CHUNK_BYTES = 64 * 1024
_HEAD_BYTES = 64 * 1024
_BODY_BYTES = 4 * 1024 * 1024
# RFC 9110 §7.6.1, and what would leave a server waiting or turn the connection into something else.
_NOT_FORWARDED = {
    "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "expect", "host",
}  # fmt: skip


class GuardServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 for a `GuardProxy`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: GuardProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.proxy.take_slot():
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.proxy.give_slot()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is nothing to report: the program behind it notices."""


class _Handler(BaseHTTPRequestHandler):
    """One connection, for one request."""

    protocol_version = "HTTP/1.1"
    rbufsize = 0  # what follows the head must still be in the socket
    server: GuardServer

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.proxy.policy.read_timeout)
        self.server.proxy.watch(self.connection)

    def finish(self) -> None:
        self.server.proxy.forget(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """URLs may be secret."""

    def do_CONNECT(self) -> None:
        self._serve(f"https://{self.path}", self._tunnel, explicit_port=True)

    def _plain(self) -> None:
        self._serve(self.path, self._forward)

    # http.server looks for these names.
    do_GET = do_HEAD = do_POST = do_OPTIONS = do_PUT = do_PATCH = do_DELETE = _plain  # noqa: N815

    def _serve(self, url: str, relay: Callable[[socket.socket], None], *, explicit_port: bool = False) -> None:
        """Check who asks and for what, connect, and let `relay` do the rest."""
        proxy = self.server.proxy
        self.close_connection = True
        if not proxy.admits(self.headers.get("Proxy-Authorization", "")):
            self._answer(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, ("Proxy-Authenticate", 'Basic realm="guard"'))
            return
        if proxy.exhausted or not _is_well_formed(url, explicit_port=explicit_port):
            self._answer(HTTPStatus.FORBIDDEN)
            return
        try:
            check_url(url, proxy.policy)
            upstream = proxy.connect(*host_and_port(url))
        except AddressRefused as reason:
            proxy.refused(reason)
            self._answer(HTTPStatus.FORBIDDEN)
        except OSError:
            self._answer(HTTPStatus.BAD_GATEWAY)
        else:
            with upstream:
                proxy.watch(upstream)
                try:
                    relay(upstream)
                finally:
                    proxy.forget(upstream)

    def _answer(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        self.send_response_only(status)
        for name, value in (*headers, ("Content-Length", "0"), ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()

    def _tunnel(self, upstream: socket.socket) -> None:
        self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        _relay(self.connection, upstream, self.server.proxy, both_ways=True)

    def _forward(self, upstream: socket.socket) -> None:
        body = self._body()
        if body is None:
            self._answer(HTTPStatus.LENGTH_REQUIRED)
            return
        try:
            upstream.sendall(self._head() + body)
            head = _answer_head(upstream)
        except OSError:
            head = b""
        if not head:
            self._answer(HTTPStatus.BAD_GATEWAY)
            return
        self.server.proxy.count(len(head))
        self.connection.sendall(head)
        # What the client still says on this connection is heard by nobody.
        _relay(self.connection, upstream, self.server.proxy, both_ways=False)

    def _head(self) -> bytes:
        """The request in origin form. Host comes from the checked URL, whatever the client wrote."""
        parts = urlsplit(self.path)
        target = parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl()
        listed = {name.strip().lower() for name in self.headers.get("Connection", "").split(",")}
        lines = [f"{self.command} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
        lines += [
            f"{name}: {value}"
            for name, value in self.headers.items()
            if name.lower() not in _NOT_FORWARDED and name.lower() not in listed and "\n" not in value
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _body(self) -> bytes | None:
        """The request's body; None when it doesn't say how long it is, or is too long."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            return None
        wanted = int(length)
        if wanted > _BODY_BYTES:
            return None
        body = b""
        while len(body) < wanted and (piece := self.connection.recv(min(_CHUNK_BYTES, wanted - len(body)))):
            body += piece
        return body if len(body) == wanted else None


def _answer_head(upstream: socket.socket) -> bytes:
    """The beginning of an answer, its head saying that the connection ends with it; empty when there is none."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = upstream.recv(_CHUNK_BYTES)
        if not piece or len(head) > _HEAD_BYTES:
            return b""
        head += piece
    head, _, rest = head.partition(b"\r\n\r\n")
    dropped = (b"connection:", b"keep-alive:", b"proxy-connection:", b"upgrade:")
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(dropped)]
    return b"\r\n".join([*kept, b"Connection: close", b"", b""]) + rest


def _is_well_formed(url: str, *, explicit_port: bool) -> bool:
    if explicit_port:
        authority = url.removeprefix("https://")
        return authority.rpartition(":")[2].isdigit() and not set(authority) & set("/?#@\\")
    return url[:7].lower() == "http://"


def _relay(client: socket.socket, upstream: socket.socket, proxy: GuardProxy, *, both_ways: bool) -> None:
    """Carry bytes until either side ends, or both are silent for the policy's read time-out."""
    with selectors.DefaultSelector() as selector:
        selector.register(upstream, selectors.EVENT_READ, client)
        selector.register(client, selectors.EVENT_READ, upstream)
        while ready := selector.select(proxy.policy.read_timeout):
            for key, _events in ready:
                source = upstream if key.fileobj is upstream else client
                piece = source.recv(_CHUNK_BYTES)
                if not piece:
                    return
                if source is upstream:
                    proxy.count(len(piece))
                    client.sendall(piece)
                elif both_ways:
                    upstream.sendall(piece)
