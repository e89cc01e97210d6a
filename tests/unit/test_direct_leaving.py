"""The short way to a view (archive_site/async_direct.py), for a viewer who leaves at any moment of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase
from django.urls import path

from archive_site.async_direct import DirectHandler, without_middleware
from archive_site.pieces import Piece, PiecesResponse


class Answers:
    """How many responses were made, and closed."""

    made = closed = 0
    left: asyncio.Event

    @classmethod
    def close(cls) -> None:
        """One."""
        cls.closed += 1


async def _pieces() -> AsyncIterator[Piece]:
    yield b"x"


@without_middleware
async def answer(request: HttpRequest) -> HttpResponseBase:
    """Works in a thread, whose end takes a moment; by then the viewer has left."""
    await sync_to_async(time.monotonic)()
    Answers.left.set()
    Answers.made += 1
    return PiecesResponse(_pieces(), status=200, headers={}, close=Answers.close)


urlpatterns = [path("stream/x", answer)]

SCOPE = {
    "type": "http", "path": "/stream/x", "method": "GET", "headers": [], "query_string": b"", "root_path": "",
    "scheme": "http", "server": ("h", 80), "client": ("c", 1),
}  # fmt: skip


@pytest.mark.parametrize("turns", range(6))
def test_every_response_is_closed(settings: Any, turns: int) -> None:
    settings.ROOT_URLCONF = __name__
    Answers.made = Answers.closed = 0

    async def ask() -> None:
        Answers.left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await Answers.left.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(_message: Any) -> None:
            await asyncio.sleep(0)

        await DirectHandler()(SCOPE, receive, send)

    for _ in range(10):
        asyncio.run(ask())
    assert Answers.made == Answers.closed == 10
