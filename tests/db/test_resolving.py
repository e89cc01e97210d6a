"""The cache of resolved sources: who may write, what is forgotten, and who is held up by whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils.timezone import now

from queue_app.models import ResolvedSource
from queue_app.sources.resolving import Known, known, start
from queue_app.sources.runs import PER_SERVER, THREADS, Run, Runs
from queue_app.sources.wanted import Wanted

ONE = Wanted("https://93.184.216.34/watch/1", "720p")
MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.django_db


def call(function: str, *arguments: object) -> object:
    with connection.cursor() as cursor:
        places = ", ".join(["%s"] * len(arguments))
        cursor.execute(f"SELECT {function}({places})", arguments)  # type: ignore[arg-type]
        return cursor.fetchone()[0]


def claim(*, lease: timedelta = MINUTE, anew: bool = False) -> object:
    return call("claim_resolving", ONE.key, ONE.url, lease, anew)


def finish(token: object, url: str | None = ONE.url, keep: timedelta = MINUTE, error: str = "") -> object:
    return call("finish_resolving", ONE.key, token, url, "direct", error, keep)


@pytest.fixture(autouse=True)
def nothing_resolved(db: None) -> None:
    """Runs of earlier tests may have ended after their tables were emptied."""
    ResolvedSource.objects.all().delete()


def test_one_claims_and_brings_the_answer() -> None:
    token = claim()
    assert token is not None
    assert claim() is None
    assert known([ONE])[ONE] == Known(None, fresh=False, asking=True)
    assert finish(token) is True
    assert known([ONE])[ONE] == Known(ONE.url, fresh=True, asking=False)
    assert claim() is None


def test_a_good_answer_is_asked_for_anew_on_demand_and_stays_meanwhile() -> None:
    finish(claim())
    assert claim(anew=True) is not None
    assert known([ONE])[ONE] == Known(ONE.url, fresh=True, asking=True)
    assert claim(anew=True) is None


def test_who_is_too_late_has_lost_it() -> None:
    late = claim(lease=-MINUTE)
    token = claim()
    assert token not in {None, late}
    assert finish(late, "https://late.example/") is False
    assert finish(token) is True
    assert finish(uuid4(), "https://wrong.example/") is False
    assert known([ONE])[ONE].url == ONE.url


def test_an_old_answer_goes_out_of_use_and_is_forgotten_at_last() -> None:
    finish(claim())
    ResolvedSource.objects.update(resolved_at=now() - timedelta(hours=1), expires_at=now() - MINUTE)
    assert known([ONE])[ONE] == Known(ONE.url, fresh=False, asking=False)
    ResolvedSource.objects.update(resolved_at=now() - timedelta(hours=3))
    assert known([ONE])[ONE] == Known(None, fresh=False, asking=False)
    old = now() - timedelta(days=8)
    ResolvedSource.objects.create(key="old", url="x", expires_at=old)
    ResolvedSource.objects.create(key="given up", url="x", lease_expires_at=old)
    ResolvedSource.objects.create(key="young", url="x", expires_at=now())
    ResolvedSource.objects.create(key="in hand", url="x", expires_at=old, lease_expires_at=now() + MINUTE)
    finish(claim())
    assert set(ResolvedSource.objects.values_list("key", flat=True)) == {"young", "in hand", ONE.key}


def test_a_failed_renewal_leaves_the_old_answer_as_old_as_it_is() -> None:
    finish(claim())
    resolved_at = now() - timedelta(minutes=30)
    ResolvedSource.objects.update(resolved_at=resolved_at, expires_at=now() - MINUTE)
    assert finish(claim(), None, error="It timed out.") is True
    kept = ResolvedSource.objects.get()
    assert (kept.url_resolved, kept.resolver, kept.resolved_at) == (ONE.url, "direct", resolved_at)
    assert kept.error == "It timed out."
    assert known([ONE])[ONE] == Known(ONE.url, fresh=True, asking=False)
    ResolvedSource.objects.update(resolved_at=now() - timedelta(hours=3))
    assert known([ONE])[ONE] == Known(None, fresh=True, asking=False)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_fails_at_once_hangs_nobody() -> None:
    kept = dict(connection.settings_dict)
    connection.settings_dict.update({"HOST": "127.0.0.1", "PORT": "1"})
    runs: list[Future[str | None]] = []
    starter = threading.Thread(target=lambda: runs.extend(start(source(n)) for n in range(100)), daemon=True)
    try:
        starter.start()
        starter.join(60)
        assert not starter.is_alive()
        assert not wait(runs, 60).not_done
    finally:
        connection.settings_dict.update(kept)
    assert {run.result() for run in runs} == {None}


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """What the runs for a dead server wait for."""
    event = threading.Event()
    yield event
    event.set()


def source(number: int, server: str = "dead.example") -> Wanted:
    return Wanted(f"https://{server}/{number}")


def test_a_run_that_returns_at_once_is_forgotten() -> None:
    runs = Runs(lambda run: run.wanted.url)
    joined = [runs.join(source(n % 10)) for n in range(1000)]
    assert [run.result.result(60) for run in joined] == [run.wanted.url for run in joined]
    assert not any(source(n) in runs for n in range(10))


def test_a_dead_server_holds_up_no_other_one(go: threading.Event) -> None:
    begun: list[Wanted] = []

    def work(run: Run) -> str:
        if "dead" in run.wanted.url:
            begun.append(run.wanted)
            go.wait(60)
        return run.wanted.url

    runs = Runs(work)
    stuck = [runs.join(source(n)) for n in range(2 * THREADS)]
    good = runs.join(source(0, "good.example"))
    assert good.result.result(30) == good.wanted.url
    assert runs.join(source(0)) is stuck[0]
    assert len(begun) <= PER_SERVER
    for run in stuck[PER_SERVER + 1 :]:
        runs.leave(run)
    go.set()
    assert [run.result.result(60) is not None for run in stuck] == [True] * (PER_SERVER + 1) + [False] * (
        len(stuck) - PER_SERVER - 1
    )
    assert len(begun) == PER_SERVER + 1
