"""Asking the site for videos as players do, in the event loop of one test."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpResponseBase, StreamingHttpResponse
from django.test import AsyncClient

from archive_site.pieces import PiecesResponse
from storage_app.playback.copies import Copy
from storage_app.playback.failover import CopyReader
from storage_app.playback.ranges import ByteRange


@dataclass(frozen=True)
class Played:
    """A whole answer."""

    response: HttpResponseBase
    body: bytes

    @property
    def status_code(self) -> int:
        """Of HTTP."""
        return self.response.status_code

    @property
    def content(self) -> bytes:
        """What came."""
        return self.body

    def __getitem__(self, name: str) -> str:
        """A header."""
        return str(self.response[name])

    def __contains__(self, name: str) -> bool:
        """Is there such a header?"""
        return self.response.has_header(name)

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Player(AsyncClient):
    """Lets Host be said."""

    async def request(self, **request: Any) -> Any:
        """Django adds to its own Host the one that is given."""
        hosts = [pair for pair in request["headers"] if pair[0].lower() == b"host"]
        request["headers"] = [pair for pair in request["headers"] if pair not in hosts[:-1]]
        return await super().request(**request)


def play(url: str, method: str = "get", then: Callable[[], object] = lambda: None, /, **headers: str) -> Played:
    """The whole answer to a request; underscores in the headers' names are hyphens. `then` is called after the header
    has come and before the body is read."""

    async def ask() -> Played:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        response = await getattr(Player(), method)(url, headers=given)
        then()
        if isinstance(response, StreamingHttpResponse):
            return Played(response, b"".join([piece async for piece in response]))
        return Played(response, response.content)

    return async_to_sync(ask)()


async def answer_of(copies: Sequence[Copy], size: int, wanted: ByteRange | None = None) -> PiecesResponse:
    """What a viewer of these copies gets; raises NoCopyLeft."""
    reader = CopyReader(copies, size, wanted or ByteRange(0, size))
    await reader.open()
    return PiecesResponse(reader.pieces(), status=200, headers={}, close=reader.close)


async def bytes_of(copies: Sequence[Copy], size: int, wanted: ByteRange | None = None) -> bytes:
    """All of it. Raises NoCopyLeft."""
    return b"".join([piece async for piece in await answer_of(copies, size, wanted)])
