"""Requests, answers and the routes between them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.misbehaviour import Misbehaviour

if TYPE_CHECKING:
    from tests.servers.hub.app import Hub
    from tests.servers.hub.state import Repo, User

BLOCK = 1024 * 1024


class HungUp(Exception):
    """The connection is to be closed without an answer."""


class Refused(Exception):
    """An error to answer, as the Hub words it."""

    def __init__(self, code: int, message: str, error_code: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.error_code, self.headers = code, message, error_code, headers or {}


@dataclass
class Answer:
    """A status, headers and a body; the length is that of `body` unless it is an iterator."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""
    length: int | None = None


def answer_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())


class Body:
    """A request's body, with a Content-Length or in chunks (RFC 9112 §7.1). `arrived` is told of the bytes."""

    def __init__(self, source: BufferedIOBase, headers: Message, arrived: Callable[[int], None]) -> None:
        self._source, self._arrived = source, arrived
        self._chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._over = not self._chunked and self._left == 0
        self.cut_after: int | None = None
        self.damaged = False

    def __iter__(self) -> Iterator[bytes]:
        while not self._over:
            if self._left == 0 and not self._next_chunk():
                return
            block = self._source.read(min(BLOCK, self._left, self._allowed()))
            if not block:
                raise HungUp
            self._took(len(block))
            if self.damaged:
                block, self.damaged = bytes([block[0] ^ 1]) + block[1:], False
            yield block

    def _allowed(self) -> int:
        if self.cut_after == 0:
            raise HungUp
        return BLOCK if self.cut_after is None else self.cut_after

    def _took(self, size: int) -> None:
        self._arrived(size)
        self._left -= size
        if self.cut_after is not None:
            self.cut_after -= size
        if self._left == 0 and self._chunked:
            self._source.readline()
        self._over = self._left == 0 and not self._chunked

    def _next_chunk(self) -> bool:
        line = self._source.readline()
        if not line:
            raise HungUp
        self._left = int(line.split(b";")[0], 16)
        if self._left == 0:
            while self._source.readline().strip():
                continue
            self._over = True
        return not self._over

    def read(self) -> bytes:
        """All of it."""
        return b"".join(self)

    def json(self) -> Any:
        """What it says; an object where there is no body."""
        return json.loads(self.read() or b"{}")


@dataclass
class Request:
    """A request that found its route. `user` is who it comes from as far as it says so, `due` what goes wrong."""

    hub: Hub
    method: str
    path: str
    query: dict[str, str]
    headers: Message
    params: dict[str, str]
    body: Body
    user: User | None = None
    due: dict[type[Misbehaviour], Any] = field(default_factory=dict)

    def signed_in(self) -> User:
        """Who sent it; refuses strangers."""
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        return self.user

    def repo(self, *, write: bool = False) -> Repo:
        """The repository of the path, if the sender may see it, or write to it."""
        return self.repo_named(self.params["repo"], write=write)

    def repo_named(self, name: str, *, write: bool = False) -> Repo:
        """A repository by `owner/name`; private ones don't exist for others."""
        repo = self.hub.state.repos.get(name)
        if repo is None or (repo.private and repo.owner is not self.user):
            if self.user is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        if write and self.signed_in() is not repo.owner:
            raise Refused(403, f"You don't have the rights to write to {name}.")
        if write and repo.owner.read_only:
            raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")
        return repo


Handle = Callable[[Request], Answer]


@dataclass(frozen=True)
class Route:
    """A named kind of request. `kind` is what its body counts as, `storage` whether the second origin answers it."""

    name: str
    method: str
    pattern: re.Pattern[str]
    handle: Handle
    kind: str
    storage: bool


class Routes:
    """What a module answers."""

    def __init__(self, *, storage: bool = False) -> None:
        self.all: list[Route] = []
        self._storage = storage

    def __call__(self, name: str, method: str, pattern: str, kind: str = "api") -> Callable[[Handle], Handle]:
        """Register the function for paths that match in full."""

        def register(handle: Handle) -> Handle:
            full = pattern.replace("{repo}", r"(?P<repo>[^/]+/[^/]+)").replace("{hash}", r"(?P<hash>[0-9a-f]{64})")
            self.all.append(Route(name, method, re.compile(full), handle, kind, self._storage))
            return handle

        return register


def find(routes: list[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a path as it stands in the request line, and the decoded parts of it; else the one that refuses."""
    for route in routes:
        match = route.pattern.fullmatch(path)
        if match and method in {route.method, "HEAD" if route.method == "GET" else route.method}:
            return route, {name: unquote(part) for name, part in match.groupdict().items() if part is not None}
    return UNKNOWN, {}


def _unknown(request: Request) -> Answer:
    raise Refused(404, "Sorry, we can't find the page you are looking for.")


UNKNOWN = Route("unknown", "", re.compile(""), _unknown, "api", storage=False)
"""For what nobody answers."""


def split(target: str) -> tuple[str, dict[str, str]]:
    """The path and the query of a request's target."""
    parts = urlsplit(target)
    return parts.path, {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """What a Range header asks for (RFC 9110 §14.2), `end` not included; None for the whole.

    Raises Refused when nothing of it is there.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2] or size - 1) + 1, size)
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= size or start >= end:
        raise Refused(416, "The requested range is not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return start, end
