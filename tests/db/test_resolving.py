"""The cache of resolved sources: who may write, and what is forgotten."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils.timezone import now

from queue_app.models import ResolvedSource
from queue_app.sources.resolving import Known, known
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


def finish(token: object, url: str | None = ONE.url, keep: timedelta = MINUTE) -> object:
    return call("finish_resolving", ONE.key, token, url, "direct", "", keep)


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
    finish(claim())
    assert set(ResolvedSource.objects.values_list("key", flat=True)) == {"young", ONE.key}
