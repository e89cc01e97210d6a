"""A reverse proxy in front of an S3 server that counts what passes and breaks what it is told to break."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.servers.misbehaviour import Cut, Misbehaviour, Slow, Stall, use_up

__all__ = [
    "AnswerHeaders",
    "Cut",
    "CutUpload",
    "Flip",
    "FlipUpload",
    "LoseAnswer",
    "Refuse",
    "Request",
    "S3Faults",
    "Slow",
    "Stall",
    "StallUpload",
]

CHUNK = 64 * 1024
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclass
class Refuse(Misbehaviour):
    """Take the whole request, and answer an error in the place of the S3 server."""

    status: int = 503
    code: str = "SlowDown"
    message: str = "As the test wants it."
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class LoseAnswer(Misbehaviour):
    """Have the S3 server do it, and close the connection without an answer."""


@dataclass
class CutUpload(Misbehaviour):
    """Close the connection after some bytes of the request's body; the S3 server gets no more of it either."""

    after: int = 0


@dataclass
class StallUpload(Misbehaviour):
    """Read no more after some bytes of the request's body, and don't answer."""

    after: int = 0


@dataclass
class FlipUpload(Misbehaviour):
    """Change one bit of the request's body."""

    at: int = 0


@dataclass
class Flip(Misbehaviour):
    """Change one bit of the answer's body."""

    at: int = 0


@dataclass
class AnswerHeaders(Misbehaviour):
    """Answer with these headers in the place of the S3 server's."""

    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request that arrived. `operation` is called as in S3's reference."""

    operation: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class S3Faults:
    """`with S3Faults(("127.0.0.1", port)) as proxy:` leads there; `proxy.endpoint` is its own URL.

    Say `proxy.misbehave("UploadPart", Refuse(times=1, skip=2))`.
    """

    def __init__(self, leads_to: tuple[str, int]) -> None:
        self.leads_to = leads_to
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._sent: Counter[str] = Counter()
        self._plans: dict[str, list[Misbehaviour]] = {}
        self._lock = threading.Lock()
        self.active = 0
        """Requests being answered."""
        self.changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self

    @property
    def endpoint(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def misbehave(self, operation: str, *what: Misbehaviour) -> None:
        """From now on; replaces what was said about this operation before."""
        with self._lock:
            self._plans[operation] = list(what)

    def count(self, operation: str) -> int:
        """How many requests for this operation arrived."""
        with self._lock:
            return sum(request.operation == operation for request in self.requests)

    def sent(self, operation: str) -> int:
        """How many bytes of request bodies for this operation arrived."""
        with self._lock:
            return self._sent[operation]

    def add_sent(self, operation: str, size: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            self._sent[operation] += size

    def wait_until_quiet(self) -> None:
        """Until nothing is on its way any more, of a client that was killed."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.active == 0, 30)

    def due(self, request: Request) -> dict[type[Misbehaviour], Any]:
        """Log a request and use up what goes wrong with it."""
        with self._lock:
            self.requests.append(request)
            return use_up(self._plans.get(request.operation, []))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def operation_of(method: str, path: str, query: dict[str, str], copies: bool) -> str:
    """What S3's reference calls a request."""
    _, _, key = path.lstrip("/").partition("/")
    if "uploadId" in query:
        put = "UploadPartCopy" if copies else "UploadPart"
        names = {"PUT": put, "POST": "CompleteMultipartUpload", "GET": "ListParts", "DELETE": "AbortMultipartUpload"}
        return names[method]
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    for name, called in (("tagging", "ObjectTagging"), ("cors", "BucketCors"), ("policy", "BucketPolicy")):
        if name in query:
            return f"{method.capitalize()}{called}"
    if method == "PUT" and copies:
        return "CopyObject"
    if method == "GET" and not key:
        return "ListObjectsV2"
    return f"{method.capitalize()}{'Object' if key else 'Bucket'}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: S3Faults

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        copies = "x-amz-copy-source" in self.headers
        self.operation = operation_of(self.command, url.path, query, copies)
        self.due = self.server.proxy.due(Request(self.operation, url.path, query, dict(self.headers)))
        self._count(1)
        try:
            self._pass_on()
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            self._count(-1)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Keep the tests' output quiet."""

    def _count(self, change: int) -> None:
        with self.server.proxy.changed:
            self.server.proxy.active += change
            self.server.proxy.changed.notify_all()

    def _pass_on(self) -> None:
        if Refuse in self.due:
            self._take_body(None)
            self._refuse(self.due[Refuse])
            return
        upstream = http.client.HTTPConnection(*self.server.proxy.leads_to, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    upstream.putheader(name, value)
            upstream.endheaders()
            if not self._take_body(upstream):
                self._hang_up()
                return
            answer = upstream.getresponse()
            if LoseAnswer in self.due:
                answer.read()
                self._hang_up()
                return
            self._answer(answer)
        finally:
            upstream.close()

    def _take_body(self, upstream: http.client.HTTPConnection | None) -> bool:
        """Read the request's body, and hand it on; False when it is to end in the middle."""
        left, position = int(self.headers.get("Content-Length") or 0), 0
        end = self.due[CutUpload].after if CutUpload in self.due else None
        while left:
            if StallUpload in self.due and position >= self.due[StallUpload].after:
                self.server.proxy.closing.wait(60)
                return False
            chunk = self.rfile.read1(min(CHUNK, left))
            if not chunk:
                return False
            self.server.proxy.add_sent(self.operation, len(chunk))
            if FlipUpload in self.due:
                chunk = _flipped(chunk, self.due[FlipUpload].at - position)
            left, position = left - len(chunk), position + len(chunk)
            if upstream:
                upstream.send(chunk)
            if end is not None and position >= end:
                return False
            self._take_time(len(chunk))
        return True

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status)
        instead = {name.lower(): value for name, value in self.due.get(AnswerHeaders, AnswerHeaders()).headers.items()}
        headers = {name.lower(): value for name, value in answer.getheaders()} | instead
        for name, value in headers.items():
            if name not in _HOP_BY_HOP:
                self.send_header(name, value)
        if self.command != "HEAD" and "content-length" not in headers:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        position = 0
        while chunk := answer.read1(CHUNK):
            if Flip in self.due:
                chunk = _flipped(chunk, self.due[Flip].at - position)
            for kind in (Cut, Stall):
                if kind in self.due and position + len(chunk) > self.due[kind].after:
                    self.wfile.write(chunk[: self.due[kind].after - position])
                    if kind is Stall:
                        self.server.proxy.closing.wait(60)
                    self._hang_up()
                    return
            position += len(chunk)
            self.wfile.write(chunk)
            self._take_time(len(chunk))

    def _refuse(self, plan: Refuse) -> None:
        body = f"<Error><Code>{plan.code}</Code><Message>{plan.message}</Message></Error>".encode()
        self.send_response_only(plan.status)
        headers = {"Content-Type": "application/xml", "Content-Length": str(len(body)), **plan.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _take_time(self, size: int) -> None:
        if Slow in self.due:
            time.sleep(size / self.due[Slow].bytes_per_second)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _flipped(chunk: bytes, at: int) -> bytes:
    if not 0 <= at < len(chunk):
        return chunk
    return chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :]
