"""A copy is cut off in the middle of 100 MB, through the real web server: the viewer notices nothing."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
from django.db import connections

from archive_site.database_threads import THREADS
from storage_app.models import StorageAccount, StorageTask
from tests.api.stream_stage import SIZE, URL, bucket_account, content, desk, repositories, store
from tests.archive import copy_of, make_account
from tests.servers.hub import Cut as HubCut
from tests.servers.hub import Hub
from tests.servers.hub import Stall as HubStall
from tests.servers.s3_faults import Cut, Refuse, S3Faults, Stall
from tests.servers.site import Site
from tests.storage.cases import Desk

__all__ = ["bucket_account", "content", "desk", "repositories"]
pytestmark = pytest.mark.django_db(transaction=True)
HALF = SIZE // 2 + 12_345


@dataclass
class Watched:
    """What a viewer got, and the longest time that nothing came, in seconds."""

    sha256: str
    size: int
    pause: float
    headers: dict[str, str]


def watch(url: str, at: int = SIZE, then: Callable[[], object] = lambda: None) -> Watched:
    """As fast as it comes; `then` is called once so many bytes have come."""
    digest, size, pause, waiting = hashlib.sha256(), 0, 0.0, [then]
    with requests.get(url, stream=True, timeout=60) as answer:
        assert answer.status_code == 200
        last = time.monotonic()
        for piece in answer.iter_content(256 * 1024):
            now = time.monotonic()
            pause, last = max(pause, now - last), now
            digest.update(piece)
            size += len(piece)
            if size >= at and waiting:
                waiting.pop()()
        return Watched(digest.hexdigest(), size, pause, dict(answer.headers))


def check_for(account: int) -> bool:
    """Was a check of this account's copy asked for?"""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if StorageTask.objects.filter(account=account, kind="verify").exists():
            return True
        time.sleep(0.1)
    return False


def test_a_bucket_that_dies_in_the_middle(
    site: Site, bucket_account: StorageAccount, repositories: list[StorageAccount], s3_faults: S3Faults, desk: Desk,
    content: bytes,
) -> None:  # fmt: skip
    store(desk, content, bucket_account, repositories[0])
    s3_faults.misbehave("GetObject", Cut(times=1, after=HALF), Refuse(skip=1, status=503))
    watched = watch(site.url(URL))
    assert (watched.size, watched.sha256) == (SIZE, hashlib.sha256(content).hexdigest())
    assert watched.pause < 2
    assert check_for(7)


def test_a_bucket_that_falls_silent_in_the_middle(
    site: Site, bucket_account: StorageAccount, repositories: list[StorageAccount], s3_faults: S3Faults, desk: Desk,
    content: bytes,
) -> None:  # fmt: skip
    store(desk, content, bucket_account, repositories[0])
    s3_faults.misbehave("GetObject", Stall(after=HALF))
    watched = watch(site.url(URL))
    assert (watched.size, watched.sha256) == (SIZE, hashlib.sha256(content).hexdigest())
    assert watched.pause < 4  # 1.2 s where the machine has nothing else to do


@pytest.mark.parametrize("trouble", [HubCut, HubStall])
def test_a_hub_that_cuts_or_falls_silent_in_the_middle(
    site: Site, repositories: list[StorageAccount], hub: Hub, desk: Desk, content: bytes, trouble: type
) -> None:
    store(desk, content, *repositories)
    hub.misbehave("cdn", trouble(after=HALF), user="ann")
    watched = watch(site.url(URL))
    assert (watched.size, watched.sha256) == (SIZE, hashlib.sha256(content).hexdigest())
    assert watched.pause < (2 if trouble is HubCut else 4)
    shown = site.said() + repr(watched.headers)
    assert "account 8 is left out" in shown
    assert not [secret for secret in ("signature=", hub.storage_endpoint, "hf_ann") if secret in shown]
    assert hub.tokens_leaked == 0


def test_a_file_that_is_truncated_while_it_plays(
    site: Site, bucket_account: StorageAccount, desk: Desk, content: bytes, tmp_path: Path
) -> None:
    folder = make_account(tmp_path)
    video = store(desk, content, folder, bucket_account)
    place = copy_of(video, folder)
    watched = watch(site.url(URL), 30_000_000, lambda: os.truncate(place, HALF))
    assert (watched.size, watched.sha256) == (SIZE, hashlib.sha256(content).hexdigest())
    assert watched.pause < 2
    assert check_for(1)


def test_a_viewer_who_leaves_takes_the_accounts_connection_along(
    site: Site, bucket_account: StorageAccount, s3_faults: S3Faults, desk: Desk, content: bytes
) -> None:
    store(desk, content, bucket_account)
    s3_faults.misbehave("GetObject", Stall(after=HALF))
    port = int(s3_faults.endpoint.rpartition(":")[2])
    with requests.get(site.url(URL), stream=True, timeout=60) as answer:
        assert answer.raw.read(1_000_000) == content[:1_000_000]
        assert upstreams(site, port) == 1
    deadline = time.monotonic() + 20
    while upstreams(site, port) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert upstreams(site, port) == 0


def upstreams(site: Site, port: int) -> int:
    """How many connections the site has to this port."""
    found = [one for worker in site.workers() for one in worker.net_connections() if one.raddr]
    return sum(one.raddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in found)


def test_stalled_viewers_hold_no_connection_to_the_database(
    site: Site, bucket_account: StorageAccount, desk: Desk, content: bytes
) -> None:
    store(desk, content, bucket_account)
    with ExitStack() as viewers:
        for _ in range(3 * THREADS):
            answer = viewers.enter_context(requests.get(site.url(URL), stream=True, timeout=60))
            assert answer.raw.read(1000) == content[:1000]
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            kept, busy = cursor.fetchall()[0]
    assert (kept <= THREADS, busy) == (True, 0)
