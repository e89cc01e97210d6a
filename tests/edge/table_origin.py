"""An origin that answers each path as a row of `tests/vectors/requests.json` says."""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from typing import Any

from tests.servers.raw import RawServer

Script = dict[str, Any]

REASONS = {200: "OK", 206: "Partial Content", 302: "Found", 304: "Not Modified", 404: "Not Found"}


@dataclass(frozen=True)
class Seen:
    """One request that arrived; `target` is what stood in its first line, header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]


class TableOrigin(RawServer):
    """`play(scripts)` says what each path answers from then on, and forgets what was asked before.

    A script has `status`, `headers`, `body` (and `lines`: so many empty ones, `fill`: so many bytes of a pattern), and
    what is odd about it: `ranges` (honours Range), `etag` (honours If-None-Match and If-Range), `head` (a script for
    HEAD), `cut` (closes after so many bytes of the body), `chunked`, `endless` (neither length nor chunks), `raw`
    (these very bytes), `closes` (says nothing).
    """

    def __init__(self) -> None:
        super().__init__(self._talk_http)
        self._scripts: dict[str, Script] = {}
        self._lock = threading.Lock()
        self.seen: list[Seen] = []

    def play(self, scripts: dict[str, Script]) -> None:
        """See the class."""
        with self._lock:
            self._scripts, self.seen = scripts, []

    def _talk_http(self, connection: socket.socket) -> None:
        while (head := self.read_head(connection)) and self._answer(connection, _parsed(head)):
            pass

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        """Whether the connection may be used again."""
        with self._lock:
            self.seen.append(seen)
            script = self._scripts.get(seen.target.partition("?")[0], {"status": 404, "body": "nothing"})
        if seen.method == "HEAD":
            script = {**script, **script.get("head", {})}
        if script.get("closes"):
            return False
        if "raw" in script:
            connection.sendall(script["raw"].encode("latin-1"))
            return False
        status, headers, body = _response(script, seen)
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Odd')}", *(f"{name}: {value}" for name, value in headers)]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if seen.method != "HEAD" and status != 304:
            connection.sendall(body)
        return "cut" not in script and not script.get("endless")


def _parsed(head: str) -> Seen:
    first, *lines = head.split("\r\n\r\n", maxsplit=1)[0].split("\r\n")
    method, target, _ = first.split(" ", 2)
    return Seen(method, target, {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)})


def _response(script: Script, seen: Seen) -> tuple[int, list[tuple[str, str]], bytes]:
    body = str(script.get("body", "")).encode() + b"\n" * script.get("lines", 0)
    body += b"0123456789" * (script.get("fill", 0) // 10)
    status, headers = int(script.get("status", 200)), dict(script.get("headers", {}))
    etag = script.get("etag", "")
    if etag:
        headers["ETag"] = etag
    if etag and seen.headers.get("if-none-match") == etag:
        return 304, list(headers.items()), b""
    span = re.fullmatch(r"bytes=(\d*)-(\d*)", seen.headers.get("range", ""))
    if span and script.get("ranges") and seen.headers.get("if-range", etag) == etag:
        first = int(span[1]) if span[1] else max(0, len(body) - int(span[2]))
        last = min(int(span[2]), len(body) - 1) if span[1] and span[2] else len(body) - 1
        if first >= len(body):
            status, headers["Content-Range"], body = 416, f"bytes */{len(body)}", b""
        else:
            status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{len(body)}"
            body = body[first : last + 1]
    if script.get("chunked"):
        headers["Transfer-Encoding"] = "chunked"
        return status, list(headers.items()), b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    if not script.get("endless"):
        headers.setdefault("Content-Length", str(len(body)))
    return status, list(headers.items()), body[: script.get("cut", len(body))]
