"""S3_PLAYBACK=redirect: browsers fetch from the bucket themselves, where they can."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from storage_app.models import StorageAccount
from storage_app.playback.reach import reachable
from tests.api.test_stream_accounts import body, desk, get, hub_account, local_account, s3_account, store
from tests.archive import CONTENT
from tests.playing import play
from tests.servers.s3_faults import Refuse, S3Faults
from tests.storage.cases import Desk

__all__ = ["desk", "hub_account", "local_account", "s3_account"]
URL = "/stream/55825/1/animasu/720p"


@pytest.fixture(autouse=True)
def redirect(settings: Any) -> None:
    settings.S3_PLAYBACK = "redirect"
    settings.PUBLIC_URL = "http://localhost:7860"


def test_a_viewer_is_sent_to_the_bucket_and_gets_the_range_there(s3_account: StorageAccount, desk: Desk) -> None:
    store(desk, s3_account)
    answer = play(URL, Host="localhost:7860", Range="bytes=5-9")
    assert (answer.status_code, answer["Cache-Control"]) == (302, "no-store")
    assert answer["Access-Control-Allow-Origin"] == "*"
    there = requests.get(answer["Location"], headers={"Range": "bytes=5-9"}, timeout=30)
    assert (there.status_code, there.content) == (206, CONTENT[5:10])


def test_the_url_is_the_same_for_a_while(s3_account: StorageAccount, desk: Desk) -> None:
    store(desk, s3_account)
    first, second = (play(URL, Host="localhost:7860")["Location"] for _ in range(2))
    assert first == second


def test_what_needs_no_bytes_is_answered_here(s3_account: StorageAccount, desk: Desk) -> None:
    store(desk, s3_account)
    head = play(URL, "head", Host="localhost:7860")
    assert head.status_code == 200
    assert play(URL, Host="localhost:7860", If_None_Match=head["ETag"]).status_code == 304


def test_whoever_cannot_reach_the_bucket_is_served_here(s3_account: StorageAccount, desk: Desk) -> None:
    store(desk, s3_account)
    assert body(play(URL, Host="videos.example.org")) == CONTENT


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1", "minio.lan"])
def test_nobody_gets_in_by_saying_that_they_are_inside(
    s3_account: StorageAccount, desk: Desk, settings: Any, host: str
) -> None:
    settings.PUBLIC_URL = "http://videos.example.org"
    store(desk, s3_account)
    answer = play(URL, Host=host)
    assert (answer.status_code, body(answer), "Location" in answer) == (200, CONTENT, False)


def test_who_would_be_served_from_elsewhere_is_not_sent_there(
    s3_account: StorageAccount, local_account: StorageAccount, desk: Desk
) -> None:
    store(desk, s3_account, local_account)
    assert body(play(URL, Host="localhost:7860")) == CONTENT


def test_nobody_is_sent_to_a_bucket_that_does_not_answer(
    s3_account: StorageAccount, hub_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account, hub_account)
    for operation in ("HeadObject", "GetObject"):
        s3_faults.misbehave(operation, Refuse(status=503))
    assert body(play(URL, Host="localhost:7860")) == CONTENT


def test_by_default_nobody_is_sent_anywhere(s3_account: StorageAccount, desk: Desk, settings: Any) -> None:
    settings.S3_PLAYBACK = "proxy"
    store(desk, s3_account)
    assert body(get()) == CONTENT


@pytest.mark.parametrize(
    ("endpoint", "site", "yes"),
    [
        ("", "https://videos.example.org", True),
        ("https://s3.example.com", "https://videos.example.org", True),
        ("http://s3.example.com", "https://videos.example.org", False),
        ("http://s3.example.com", "http://videos.example.org", True),
        ("http://192.168.1.5:9000", "http://videos.example.org", False),
        ("http://192.168.1.5:9000", "http://192.168.1.2:7860", True),
        ("http://minio:9000", "http://videos.example.org", False),
        ("http://minio.lan:9000", "http://nas.lan:7860", True),
        ("http://127.0.0.1:9000", "http://192.168.1.2:7860", False),
        ("http://[::1]:9000", "http://localhost:7860", True),
        ("http://0.0.0.0:9000", "http://192.168.1.2:7860", False),
        ("http://[2606:4700::1]", "http://videos.example.org", True),
    ],
)
def test_reach_is_judged_by_where_both_are(endpoint: str, site: str, yes: bool) -> None:
    assert reachable(endpoint, site) is yes


def test_the_edge_may_use_plain_http() -> None:
    assert reachable("http://s3.example.com", "https://videos.example.org", browser=False)
