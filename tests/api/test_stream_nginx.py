"""GET /stream behind nginx: the same answers, whose bytes nginx sends itself where it can."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
import requests

from storage_app.models import StorageAccount
from tests.api.stream_stage import URL, bucket_account, desk, repositories, store
from tests.archive import CONTENT, copy_of, make_account
from tests.servers.hub import Hub
from tests.servers.hub import Refuse as HubRefusal
from tests.servers.nginx import PROGRAM, Nginx
from tests.servers.s3_faults import Cut, Refuse, S3Faults
from tests.servers.site import Site
from tests.storage.cases import Desk

__all__ = ["bucket_account", "desk", "repositories"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PROGRAM is None, reason="no nginx to test with (make .venv/nginx.ok)"),
]
SIZE = len(CONTENT)
OF_THE_WAY = {"Server", "Date", "Connection", "Keep-Alive", "Transfer-Encoding"}


def get(url: str, **headers: str) -> requests.Response:
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    return requests.get(url, headers=given, timeout=60, allow_redirects=False)


def told(answer: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items() if name not in OF_THE_WAY}


def inside(site: Site, **headers: str) -> requests.Response:
    """What the site tells nginx."""
    return get(site.url(URL), X_Reelkeep_Accel="on", **headers)


@pytest.fixture
def accel(start_site: Callable[..., Site]) -> Site:
    return start_site([], X_ACCEL="true")


@pytest.fixture
def nginx(accel: Site, tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path / "nginx", accel.port) as running:
        yield running


ASKED = [{}, {"Range": "bytes=5-9"}, {"Range": "bytes=-7"}, {"Range": "bytes=0-1,5-6"}, {"Range": "bytes=99999999-"}]


@pytest.mark.parametrize("kind", ["folder", "bucket", "repository"])
def test_nginx_sends_the_same_bytes_and_headers_as_we_would(
    nginx: Nginx, accel: Site, bucket_account: StorageAccount, repositories: list[StorageAccount], hub: Hub,
    desk: Desk, tmp_path: Path, kind: str,
) -> None:  # fmt: skip
    account = {"folder": make_account(tmp_path), "bucket": bucket_account, "repository": repositories[0]}[kind]
    store(desk, CONTENT, account)
    for headers in ASKED:
        ours, theirs = get(accel.url(URL), **headers), get(nginx.url(URL), **headers)
        assert (theirs.status_code, theirs.content == ours.content) == (ours.status_code, True)
        assert told(theirs) == told(ours)
        if theirs.status_code < 400:
            said = inside(accel, **headers)
            assert (said.headers["X-Accel-Redirect"].startswith("/_reelkeep/"), said.content) == (True, b"")
        for secret in ("amz-signature", "signature=", hub.storage_endpoint, "127.0.0.1"):
            assert secret not in repr(theirs.headers).lower()


def test_what_is_known_or_only_asked_about_is_answered_as_ever(
    nginx: Nginx, bucket_account: StorageAccount, desk: Desk
) -> None:
    store(desk, CONTENT, bucket_account)
    head = requests.head(nginx.url(URL), timeout=60)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(SIZE))
    assert get(nginx.url(URL), If_None_Match=head.headers["ETag"]).status_code == 304
    assert get(nginx.url(URL), Range="bytes=5-9", If_Range='"other"').content == CONTENT
    assert get(nginx.url(URL), Range="bytes=5-9", If_Range=head.headers["ETag"]).content == CONTENT[5:10]


def test_a_file_that_is_gone_is_replaced_by_another_copy(
    nginx: Nginx, bucket_account: StorageAccount, desk: Desk, tmp_path: Path
) -> None:
    folder = make_account(tmp_path)
    copy_of(store(desk, CONTENT, folder, bucket_account), folder).unlink()
    assert get(nginx.url(URL)).content == CONTENT


def test_where_two_accounts_hold_it_one_goes_on_for_the_other(
    nginx: Nginx, bucket_account: StorageAccount, repositories: list[StorageAccount], s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, CONTENT, bucket_account, repositories[0])
    s3_faults.misbehave("GetObject", Cut(times=1, after=700_000), Refuse(skip=1, status=503))
    answer = get(nginx.url(URL))
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(CONTENT).digest()


def test_after_a_refusal_each_header_comes_once(
    nginx: Nginx, bucket_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, CONTENT, bucket_account)
    assert get(nginx.url(URL), Range="bytes=5-9").content == CONTENT[5:10]
    s3_faults.misbehave("GetObject", Refuse(times=1, status=503))
    with closing(HTTPConnection("127.0.0.1", nginx.port, timeout=60)) as viewer:
        viewer.request("GET", URL, headers={"Range": "bytes=5-9"})
        answer = viewer.getresponse()
        assert (answer.status, answer.read()) == (206, CONTENT[5:10])
        names = [name.lower() for name, _ in answer.getheaders()]
    assert sorted(names) == sorted(set(names))


def test_a_signed_url_that_the_account_takes_no_more_is_replaced(
    nginx: Nginx, repositories: list[StorageAccount], hub: Hub, desk: Desk
) -> None:
    store(desk, CONTENT, repositories[0])
    assert get(nginx.url(URL), Range="bytes=0-9").content == CONTENT[:10]
    hub.misbehave("cdn", HubRefusal(times=2, code=403))
    assert get(nginx.url(URL), Range="bytes=5-9").content == CONTENT[5:10]
