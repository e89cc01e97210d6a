"""A body that is too large is refused while it arrives, before Django keeps it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from archive_site.body_limit import BodyLimit

SCOPE = {"type": "http", "method": "POST", "path": "/trigger", "headers": []}


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads the whole body, as Django does, then answers how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


def post(pieces: list[bytes]) -> tuple[int, bytes]:
    messages = [
        {"type": "http.request", "body": piece, "more_body": i < len(pieces) - 1} for i, piece in enumerate(pieces)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(BodyLimit(echo, limit=10)(SCOPE, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("pieces", [[b"0123456789"], [b"01234", b"56789"], [b""]])
def test_a_body_within_the_limit_passes(pieces: list[bytes]) -> None:
    assert post(pieces) == (200, str(len(b"".join(pieces))).encode())


def test_a_body_over_the_limit_is_413_in_json_however_it_is_cut() -> None:
    status, body = post([b"01234", b"56789", b"x"])
    assert status == 413
    assert "10 bytes" in json.loads(body)["detail"]
