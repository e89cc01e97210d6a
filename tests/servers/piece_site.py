"""A site whose only views send files and bytes as a test says: settings and URL map for tests/api/test_sendfile.py.

Run by the product's own gunicorn configuration and ASGI application, with DJANGO_SETTINGS_MODULE naming this module.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path

from archive_site.pieces import FileSlice, Piece, PiecesResponse
from archive_site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.servers.piece_site"
FOLDER = Path(os.environ["REELKEEP_DATA"])
closed: list[str] = []


async def pieces_of(plan: list[Any], heard: list[Any]) -> AsyncIterator[Piece]:
    """A text is sent as bytes, `[name, start, length]` as part of a file. Tells what became of the files."""
    for step in plan:
        if isinstance(step, str):
            yield step.encode()
            continue
        name, start, length = step
        with (FOLDER / name).open("rb") as file:
            part = FileSlice(file, start, length)
            yield part
            heard.append([part.sent, part.error and part.error.errno])


async def play(request: HttpRequest) -> HttpResponseBase:
    """`?plan=` what to send, `?length=` the Content-Length; `?heard=1` ends with what was heard of the files."""
    plan = json.loads(request.GET["plan"])
    heard: list[Any] = []

    async def then() -> AsyncIterator[Piece]:
        async for piece in pieces_of(plan, heard):
            yield piece
        if "heard" in request.GET:
            yield json.dumps(heard).encode()

    headers = {"Content-Type": "application/octet-stream"}
    if "length" in request.GET:
        headers["Content-Length"] = request.GET["length"]
    return PiecesResponse(then(), status=200, headers=headers, close=lambda: closed.append(request.GET["plan"]))


def over(_request: HttpRequest) -> HttpResponseBase:
    """How many responses are over, and how many descriptors and threads this process has."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    threads = len([t for t in Path("/proc/self/task").iterdir() if (t / "comm").read_text()])
    return HttpResponse(json.dumps({"closed": len(closed), "descriptors": descriptors, "threads": threads}))


urlpatterns = [path("play", play), path("over", over), path("health", over)]
