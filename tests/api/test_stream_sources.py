"""GET /stream before a video is archived, while it is, and after its source is gone: always the same URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from queue_app.queue import enqueue_video
from storage_app.deletion import delete_videos
from storage_app.models import StorageAccount
from storage_app.playback.source import PlayableSource
from tests.api import urls_with_source
from tests.archive import CONTENT, KEY, archive, make_account
from tests.playing import Played, play
from tests.servers.misbehaviour import Status
from tests.servers.origin import Origin

URL = "/stream/55825/1/animasu/720p"
SOURCE = bytes(range(255, -1, -1)) * 3000
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nsegment0.ts\n#EXT-X-ENDLIST\n"


@pytest.fixture
def source(db: None, settings: Any, origin: Origin) -> Iterator[str]:
    """The URL of the video's source."""
    settings.ROOT_URLCONF = "tests.api.urls_with_source"
    settings.FETCH_ALLOW_HOSTS = frozenset({origin.host_port})
    origin.put("/v.mp4", SOURCE)
    yield origin.url("/v.mp4?token=hidden")
    urls_with_source.sources.clear()


@pytest.fixture
def account(db: None, tmp_path: Path) -> StorageAccount:
    return make_account(tmp_path)


def get(method: str = "get", **headers: str) -> Played:
    return play(URL, method, **headers)


def job(url: str, status: str) -> None:
    urls_with_source.sources[KEY] = PlayableSource(url, status)


def test_one_url_plays_while_it_waits_is_fetched_is_archived_and_after_its_source_is_gone(
    source: str, origin: Origin, account: StorageAccount
) -> None:
    for status in ("pending", "downloading", "uploading", "failed"):
        job(source, status)
        assert get().body == SOURCE
        part = get(Range="bytes=100-199")
        assert (part.status_code, part["Content-Range"]) == (206, f"bytes 100-199/{len(SOURCE)}")
        assert part.body == SOURCE[100:200]
    archive(KEY, [account])
    job(source, "ready")
    assert get().body == CONTENT
    origin.misbehave("/v.mp4", Status(code=404))
    before = origin.count("/v.mp4")
    assert (get().body, origin.count("/v.mp4")) == (CONTENT, before)


def test_what_comes_from_a_source_is_kept_by_nobody_and_names_it_to_nobody(source: str, origin: Origin) -> None:
    job(source, "pending")
    for answer in (get(), get("head"), get(Range="bytes=0-1"), get(If_None_Match="*")):
        assert answer["Cache-Control"] == "no-store"
        assert "ETag" not in answer
        assert "Last-Modified" not in answer
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert "hidden" not in repr(answer.response.headers)
        assert str(origin.host_port[1]) not in repr(answer.response.headers)


def test_no_part_of_it_is_taken_for_one_of_something_else(source: str, origin: Origin, account: StorageAccount) -> None:
    job(source, "pending")
    for name in ('"of-the-archived-video"', "Sat, 01 Nov 2025 10:00:00 GMT", "rubbish"):
        answer = get(Range="bytes=100-199", If_Range=name)
        assert (answer.status_code, answer.body) == (200, SOURCE)


def test_a_source_that_is_a_stream_has_links_that_are_signed(source: str, origin: Origin) -> None:
    job(origin.put("/hls/index.m3u8", PLAYLIST), "downloading")
    answer = get()
    assert answer["Content-Type"] == "application/vnd.apple.mpegurl"
    assert b"\n/proxy?exp=" in answer.body


def test_a_source_that_is_gone_says_so(source: str, origin: Origin) -> None:
    job(source, "failed")
    origin.misbehave("/v.mp4", Status(code=404))
    answer = get()
    assert (answer.status_code, answer.json()["error"]) == (404, "upstream_status")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_another_url_plays_where_the_source_is_dead(source: str, origin: Origin, status: int) -> None:
    origin.misbehave("/dead.mp4", Status(code=status))
    asked = []

    async def instead() -> str | None:
        asked.append(status)
        return others.pop()

    urls_with_source.sources[KEY] = PlayableSource(origin.url("/dead.mp4"), "pending", instead)
    others: list[str | None] = [None, origin.url("/dead.mp4"), source]
    assert (get().body, asked) == (SOURCE, [status])
    expected = status if status in {404, 410} else 502
    assert [get().status_code, get().status_code] == [expected, expected]
    assert len(asked) == 3
    assert origin.count("/dead.mp4") == 4


def test_a_source_that_is_only_busy_is_not_given_up(source: str, origin: Origin) -> None:
    async def instead() -> str | None:
        raise AssertionError("It was given up.")

    urls_with_source.sources[KEY] = PlayableSource(source, "pending", instead)
    for status in (416, 429, 500, 503):
        origin.misbehave("/v.mp4", Status(code=status, times=1))
        assert get().json()["error"] == "upstream_status"


def test_what_was_cancelled_or_deleted_or_is_unknown_plays_from_nowhere(
    source: str, origin: Origin, account: StorageAccount
) -> None:
    assert (get().status_code, get().json()["error"]) == (404, "not_archived")
    job(source, "cancelled")
    answer = get()
    assert (answer.status_code, answer.json()["status"]) == (404, "cancelled")
    delete_videos([archive(KEY, [account]).pk], "ann", "")
    assert (get().status_code, get().json()["error"]) == (410, "deleted")
    assert origin.count("/v.mp4") == 0


def test_without_sources_the_queues_word_is_all(db: None) -> None:
    enqueue_video(KEY, "https://93.184.216.34/v.mp4")
    answer = play("/stream/55825/1/animasu/480p")
    assert (answer.status_code, answer.json()["queued"]) == (404, False)
