"""GET /api/v1/store/…: what the edge is told."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from storage_app.deletion import delete_videos
from storage_app.models import StorageAccount
from storage_app.playback.source import PlayableSource
from tests.api import urls_with_source
from tests.api.test_stream_accounts import desk, hub_account, local_account, s3_account, store
from tests.archive import CONTENT, KEY, archive, copy_of
from tests.environment import API_TOKEN
from tests.playing import Played, play
from tests.servers.hub import Hub
from tests.servers.hub import Refuse as HubRefusal
from tests.storage.cases import Desk

__all__ = ["desk", "hub_account", "local_account", "s3_account"]
PATH = "/api/v1/store/55825/1/animasu/720p"
STREAM = "/stream/55825/1/animasu/720p"


@pytest.fixture(autouse=True)
def here(settings: Any) -> Iterator[None]:
    settings.PUBLIC_URL = "http://localhost:7860"
    settings.ROOT_URLCONF = "tests.api.urls_with_source"
    yield
    urls_with_source.sources.clear()


def ask(token: str = API_TOKEN, path: str = PATH) -> Played:
    return play(path, Authorization=f"Bearer {token}")


def test_it_tells_all_copies_of_the_same_bytes_the_best_first(
    s3_account: StorageAccount, hub_account: StorageAccount, local_account: StorageAccount, hub: Hub, desk: Desk
) -> None:
    video = store(desk, hub_account, s3_account, local_account)
    answer = ask()
    told = answer.json()
    assert [copy["kind"] for copy in told["copies"]] == ["s3", "huggingface", "site"]
    for copy in told["copies"][:2]:
        there = requests.get(copy["url"], headers={"Range": "bytes=7-99"}, timeout=30)
        assert (there.status_code, there.content) == (206, CONTENT[7:100])
    assert told["copies"][2]["url"] == "http://localhost:7860" + STREAM
    assert hub.tokens_leaked == 0
    del told["copies"], told["valid_until"]
    assert told == {
        "status": "archived", "size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "content_type": "video/mp4", "last_modified": int(video.created_at.timestamp()),
    }  # fmt: skip


def test_it_may_be_kept_as_long_as_its_urls_are_good(hub_account: StorageAccount, hub: Hub, desk: Desk) -> None:
    hub.url_lifetime = 100
    store(desk, hub_account)
    answer = ask()
    left = answer.json()["valid_until"] - time.time()
    assert 0 < left <= 100
    kind, age = answer["Cache-Control"].split(", max-age=")
    assert kind == "private"
    assert 0 <= int(age) <= 100


def test_an_account_that_does_not_answer_is_left_out(
    s3_account: StorageAccount, hub_account: StorageAccount, hub: Hub, desk: Desk
) -> None:
    store(desk, s3_account, hub_account)
    hub.misbehave("resolve", HubRefusal(code=500))
    assert [copy["kind"] for copy in ask().json()["copies"]] == ["s3"]


def test_without_any_copy_it_is_what_stream_answers(local_account: StorageAccount, desk: Desk) -> None:
    copy_of(store(desk, local_account), local_account).unlink()
    answer, stream = ask(), play(STREAM)
    assert (answer.status_code, answer.body) == (stream.status_code, stream.body)
    assert (answer.status_code, answer.json()["error"]) == (503, "no_copy")


def test_a_bucket_that_only_this_host_reaches_is_read_through_it(
    s3_account: StorageAccount, desk: Desk, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://videos.example.org"
    store(desk, s3_account)
    assert ask().json()["copies"] == [{"kind": "site", "url": "https://videos.example.org" + STREAM}]


def test_until_it_is_archived_it_tells_the_source_for_a_short_while(db: None) -> None:
    urls_with_source.sources[KEY] = PlayableSource("https://93.184.216.34/v.mp4?t=1", "pending")
    told = ask().json()
    assert 0 < told.pop("valid_until") - time.time() <= 15
    assert told == {"status": "source", "url": "https://93.184.216.34/v.mp4?t=1", "queue_status": "pending"}


def test_what_is_not_there_is_what_stream_answers(local_account: StorageAccount) -> None:
    for path in ("55825/1/animasu/720p", "x/1/animasu/720p", "1/1/p"):
        answer, stream = ask(path=f"/api/v1/store/{path}"), play(f"/stream/{path}")
        assert (answer.status_code, answer.body) == (stream.status_code, stream.body) == (404, stream.body)
    delete_videos([archive(KEY, [local_account]).pk], "ann", "")
    answer, stream = ask(), play(STREAM)
    assert (answer.status_code, answer.body) == (stream.status_code, stream.body) == (410, stream.body)


def test_a_key_without_a_resolution_has_a_url_of_its_own(local_account: StorageAccount) -> None:
    key = KEY.__class__(1, 0, "p", None)
    archive(key, [local_account])
    assert ask(path="/api/v1/store/1/0/p").json()["copies"][0]["url"].endswith("/stream/1/0/p")


def test_both_tokens_are_good_and_no_other(local_account: StorageAccount, settings: Any) -> None:
    archive(KEY, [local_account])
    settings.EDGE_TOKEN = "the-edge"
    assert [ask(token).status_code for token in ("the-edge", API_TOKEN)] == [200, 200]
    for answer in (ask("other"), ask(""), play(PATH)):
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.json()["error"] == "unauthorized"
        assert "55825" not in answer.body.decode()


def test_without_any_token_set_nobody_gets_in(local_account: StorageAccount, settings: Any) -> None:
    archive(KEY, [local_account])
    settings.EDGE_TOKEN = settings.API_TOKEN = ""
    assert ask("").status_code == 401
    assert play(PATH).status_code == 401
