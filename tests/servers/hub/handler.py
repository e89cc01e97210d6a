"""The HTTP server of one of the Hub's two origins."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.servers.hub.faults import CutUpload, Damage, Empty, LoseAnswer, Refuse, Silence
from tests.servers.hub.http import UNKNOWN, Answer, Body, HungUp, Refused, Request, Route, answer_json, find, split
from tests.servers.hub.xet_formats import BadFormat
from tests.servers.misbehaviour import Cut, Slow, Stall, Status

if TYPE_CHECKING:
    from tests.servers.hub.app import Hub
    from tests.servers.hub.state import User

LISTS = {"repositories", "commits", "lfs-files"}


class Server(ThreadingHTTPServer):
    """Serves routes on a free port of one of this host's loopback addresses."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, hub: Hub, routes: list[Route], address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Handler)
        self.hub, self.routes = hub, routes

    @property
    def base_url(self) -> str:
        """Without a slash at its end."""
        return "http://{}:{}".format(*self.server_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is being tested, and broken xorbs; anything else is a fault of this server."""
        error = sys.exception()
        if error and not isinstance(error, ConnectionError | TimeoutError | BadFormat):
            self.hub.crashes.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        try:
            self._answer()
        except HungUp:
            self._hang_up()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - named by http.server

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Of the header Date, by a clock that may be wrong."""
        return super().date_time_string((timestamp or time.time()) + self.server.hub.clock_ahead)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Keep the tests' output quiet."""

    def _answer(self) -> None:
        hub = self.server.hub
        path, query = split(self.path)
        self.kind, self.name, self.due = "api", "", {}
        body = Body(self.rfile, self.headers, self._arrived)
        self.sender = self._sender(query)
        try:
            route, params = find(self.server.routes, self.command, path)
            self.kind, self.name = route.kind, route.name
            request = Request(hub, self.command, path, query, self.headers, params, body, self.sender)
            request.due = self.due = hub.due(route, request)
            answer = self._handle(route, request)
        except Refused as refused:
            answer = _refusal(refused)
        for _ in body:
            continue
        if LoseAnswer in self.due:
            raise HungUp
        self._send(answer)

    def _handle(self, route: Route, request: Request) -> Answer:
        due, request.body.damaged = self.due, Damage in self.due
        if Silence in due:
            self.server.hub.closing.wait(60)
            raise HungUp
        if CutUpload in due:
            request.body.cut_after = due[CutUpload].after
        for kind in (Refuse, Status):
            if kind in due:
                message, error = getattr(due[kind], "message", "status"), getattr(due[kind], "error_code", "")
                raise Refused(due[kind].code, message, error, due[kind].headers)
        self._check_token(route)
        if Empty in due and route.name in LISTS:
            return answer_json([])
        return route.handle(request)

    def _sender(self, query: dict[str, str]) -> User | None:
        state, token = self.server.hub.state, self._token()
        return self.server.hub.cas.user_of(token) or state.user_of(token) or state.users.get(query.get("user", ""))

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _check_token(self, route: Route) -> None:
        if route is UNKNOWN:
            return
        known = self.server.hub.state.user_of(self._token()) is not None
        if route.storage:
            self.server.hub.tokens_leaked += known
        elif self._token() and not known:
            raise Refused(401, "Invalid credentials in Authorization header")

    def _arrived(self, size: int) -> None:
        if self.sender:
            self.server.hub.add_received(self.sender, self.kind, size)
        self._slow_down(size)

    def _slow_down(self, size: int) -> None:
        if Slow in self.due:
            time.sleep(size / self.due[Slow].bytes_per_second)

    def _send(self, answer: Answer) -> None:
        body = answer.body
        length = answer.length if answer.length is not None else len(body) if isinstance(body, bytes) else 0
        self.send_response(answer.status)
        for name, value in {"X-Request-Id": "test", "Content-Length": str(length), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._write(iter([body]) if isinstance(body, bytes) else body)

    def _write(self, blocks: Iterator[bytes]) -> None:
        left = min((self.due[kind].after for kind in (Cut, Stall) if kind in self.due), default=None)
        for block in blocks:
            piece = block if left is None else block[:left]
            for start in range(0, len(piece), 65536):
                part = piece[start : start + 65536]
                self._slow_down(len(part))
                self.wfile.write(part)
                self.server.hub.add_served(self.name, len(part))
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    break
        if Stall in self.due:
            self.server.hub.closing.wait(60)
        if left is not None:
            raise HungUp

    def _hang_up(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _refusal(refused: Refused) -> Answer:
    headers = {"X-Error-Message": refused.message, **refused.headers}
    if refused.error_code:
        headers["X-Error-Code"] = refused.error_code
    return answer_json({"error": refused.message}, refused.code, headers)
