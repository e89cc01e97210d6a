"""`proxied` for URLs of ours that lead to a source only until the video is archived."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.http import HttpResponse, HttpResponseBase
from django.test import AsyncRequestFactory

from archive_site.pieces import PiecesResponse
from storage_app.playback.upstream import proxied
from storage_app.playback.urls import signer
from tests.servers.origin import Origin

CONTENT = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def allowed(settings: Any, origin: Origin) -> None:
    settings.FETCH_ALLOW_HOSTS = frozenset({origin.host_port})


def get(url: str, **headers: str) -> tuple[HttpResponseBase, bytes]:
    """The answer and its body."""
    request: Any = AsyncRequestFactory().get("/stream/1/1/a/b", headers=headers)

    async def main() -> tuple[HttpResponseBase, bytes]:
        answer = await proxied(request, url, signer(), lasting=False)
        if isinstance(answer, PiecesResponse):
            return answer, b"".join([piece async for piece in answer])
        assert isinstance(answer, HttpResponse)
        return answer, answer.content

    return asyncio.run(main())


def test_nobody_may_keep_it_nor_ask_whether_it_is_still_the_same(origin: Origin) -> None:
    url = origin.put("/a.mp4", CONTENT)
    answer, body = get(url, **{"If-None-Match": '"x"', "Range": "bytes=5-", "If-Range": '"x"'})
    assert (answer.status_code, body, answer["Cache-Control"]) == (200, CONTENT, "no-store")
    assert not {"ETag", "Last-Modified"} & set(answer.headers)
    assert not {"If-None-Match", "If-Range", "Range"} & set(origin.requests[0].headers)


def test_a_playlist_may_not_be_kept_either(origin: Origin) -> None:
    answer, body = get(origin.put("/a.m3u8", b"#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"))
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert b"\n/proxy?exp=" in body


def test_an_address_that_is_not_allowed_is_refused() -> None:
    answer, body = get("http://127.0.0.1:1/")
    assert (answer.status_code, b'"error":"address_refused"' in body) == (403, True)
