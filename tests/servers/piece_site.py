"""A site whose only views send files and bytes as a test says: settings and URL map for tests/api/test_sendfile.py.

Run by the product's own gunicorn configuration and ASGI application, with DJANGO_SETTINGS_MODULE naming this module.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import path

from archive_site.async_direct import without_middleware
from archive_site.pieces import FileSlice, Piece, PiecesResponse
from archive_site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.servers.piece_site"
FOLDER = Path(os.environ["REELKEEP_DATA"])
closed: list[str] = []
files_open: list[object] = []


class Unread(FileSlice):
    """One that must not pass through this process."""

    def read(self) -> bytes:
        """Ends the response in the middle."""
        raise AssertionError("It was read, not sent.")


async def pieces_of(plan: list[Any], heard: list[Any], kind: type[FileSlice]) -> AsyncIterator[Piece]:
    """A text is sent as it is, a number as so many bytes, `[name, start, length, patience]` as part of a file.

    `{"else": name}` is the rest of the part before, from another file. `heard` gets what became of the files.
    """
    part: FileSlice | None = None
    for step in plan:
        if isinstance(step, int):
            yield b"|" * step
            continue
        if isinstance(step, str):
            yield step.encode()
            continue
        name, *which = step if part is None or isinstance(step, list) else _rest(part, step)
        with (FOLDER / name).open("rb") as file:
            part = kind(file, *which)
            files_open.append(part)
            try:
                yield part
            finally:
                files_open.remove(part)
            heard.append([part.sent, part.error and (part.error.errno or type(part.error).__name__)])


def _rest(part: FileSlice, step: dict[str, str]) -> list[Any]:
    return [step["else"], part.start + part.sent, part.length - part.sent]


async def play(request: HttpRequest) -> HttpResponseBase:
    """`?plan=` what to send, `?length=` the Content-Length, `?read=1` if it may be read, `?heard=1` to hear of it."""
    plan = json.loads(request.GET["plan"])
    kind = FileSlice if "read" in request.GET else Unread
    heard: list[Any] = []

    async def then() -> AsyncIterator[Piece]:
        async for piece in pieces_of(plan, heard, kind):
            yield piece
        if "heard" in request.GET:
            yield json.dumps(heard).encode()

    headers = {"Content-Type": "application/octet-stream"}
    if "length" in request.GET:
        headers["Content-Length"] = request.GET["length"]
    return PiecesResponse(then(), status=200, headers=headers, close=lambda: closed.append(request.GET["plan"]))


@without_middleware
async def play_directly(request: HttpRequest) -> HttpResponseBase:
    """The same, the short way."""
    return await play(request)


async def state(_request: HttpRequest) -> HttpResponseBase:
    """How many responses are over and how many files are being sent, and this process's descriptors."""
    descriptors = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    films = [name for name in descriptors if name.endswith(".bin")]
    return JsonResponse({"closed": len(closed), "sending": len(files_open), "films": len(films)})


urlpatterns = [
    path("play", play),
    path("stream/play", play_directly),
    path("state", state),
    path("health", state),
]
