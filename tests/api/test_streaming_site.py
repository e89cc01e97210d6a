"""The streaming API through the real server, in several processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connection

from queue_app.models import JobEvent, ResolvedSource, VideoQueue
from queue_app.sources.runs import PER_SERVER, THREADS
from tests.servers.misbehaviour import Slow, Stall
from tests.servers.origin import Origin
from tests.servers.site import Site
from tests.sources import EPISODE, PLAYLIST, WORK, register

PATH = f"/api/v1/streaming/{WORK}/{EPISODE}"


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Origin]:
    """An origin that falls silent."""
    (tmp_path / "dead").mkdir()
    with Origin(tmp_path / "dead") as running:
        running.put("/stuck.m3u8", PLAYLIST)
        running.misbehave("/stuck.m3u8", Stall(after=1))
        yield running


@pytest.fixture
def site(transactional_db: None, origin: Origin, dead: Origin, tmp_path: Path) -> Iterator[Site]:
    """Two processes."""
    allow = [origin.host_port, dead.host_port]
    with Site(tmp_path / "site", allow=allow, WEB_WORKERS="2", RESOLVE_SECONDS="30") as running:
        yield running


def ask(site: Site, path: str = PATH) -> Any:
    answer = requests.get(site.url(path), timeout=90)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_viewers_of_all_processes_share_one_resolving_and_one_job(site: Site, origin: Origin) -> None:
    url = origin.put("/index.m3u8", PLAYLIST)
    origin.misbehave("/index.m3u8", Slow(bytes_per_second=40))
    register({"url": url})
    with ThreadPoolExecutor(50) as viewers:
        answers = list(viewers.map(lambda _: ask(site), range(50)))
    assert {answer["data"]["animasu"][0]["url_resolved"] for answer in answers} == {url}
    assert origin.count("/index.m3u8") == 1
    assert (VideoQueue.objects.count(), JobEvent.objects.count()) == (1, 1)


def test_sources_that_hang_hold_up_nobody_else(site: Site, origin: Origin, dead: Origin) -> None:
    good = origin.put("/good.m3u8", PLAYLIST)
    episodes = range(10, 10 + 3 * THREADS)
    register(*({"url": f"{dead.url('/stuck.m3u8')}?{n}", "episode": n} for n in episodes), {"url": good})
    with ThreadPoolExecutor(len(episodes) + 1) as viewers:
        stuck: list[Future[Any]] = [viewers.submit(ask, site, f"/api/v1/streaming/{WORK}/{n}") for n in episodes]
        _until(lambda: ResolvedSource.objects.filter(lease_token__isnull=False).count() >= PER_SERVER)
        quick = viewers.submit(ask, site)
        done, _ = wait([quick, *stuck], 60, FIRST_COMPLETED)
        assert quick in done
        assert quick.result()["data"]["animasu"][0]["url_resolved"] == good
        assert _connections() <= 2 * (4 + PER_SERVER)
        dead.closing.set()
        assert {run.result()["data"]["animasu"][0]["url_resolved"] for run in stuck} == {None}


def test_it_takes_the_short_way_and_is_still_documented(site: Site) -> None:
    register({"url": "https://93.184.216.34/a", "enabled": False})
    answer = requests.get(site.url(f"{PATH}/"), timeout=60)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert "X-Frame-Options" not in answer.headers  # which Django's middleware would have set
    schema = requests.get(site.url("/api/schema"), headers={"Accept": "application/json"}, timeout=60).json()
    assert "/api/v1/streaming/{mal_id}/{episode}" in schema["paths"]


def _connections() -> int:
    """Of other processes to the test database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def _until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
