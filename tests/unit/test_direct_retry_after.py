"""How long a busy source asks to wait, by the answers of a real one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial

import pytest

from archive_site.safe_http import Fetcher, Policy
from queue_app.downloaders import Source, body
from queue_app.downloaders.segments import Resource
from queue_app.downloaders.version import Refused, Version, ask_range
from tests.servers import origin as servers
from tests.servers.origin import Origin

Ask = Callable[[str], float | None]
FAR = 7200


@pytest.fixture(params=["UTC", "Pacific/Auckland", "America/Los_Angeles"], autouse=True)
def _somewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On a host with this local time."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(params=["file", "segment"])
def ask(request: pytest.FixtureRequest, origin: Origin) -> Iterator[Ask]:
    """What is made of an answer 503 with this Retry-After."""

    def run(fetcher: Fetcher, value: str) -> float | None:
        origin.misbehave("/x.ts", servers.Status(code=503, headers={"Retry-After": value} if value else {}))
        url = origin.url("/x.ts")
        if request.param == "segment":
            with pytest.raises(body.Busy) as busy:
                body.ask(fetcher, Source(url), Resource(url))
            return busy.value.wait
        with pytest.raises(Refused) as refused:
            ask_range(fetcher, url, {}, 0, 10, Version())
        return refused.value.retry_after

    with Fetcher(Policy(frozenset({origin.host_port}))) as fetcher:
        yield partial(run, fetcher)


def test_seconds_are_seconds(ask: Ask) -> None:
    assert ask("7") == 7


@pytest.mark.parametrize("value", ["", "soon", "-1", "9" * 400, "Thu, 99 Foo 2026 10:00:00 GMT"])
def test_what_says_nothing_is_nothing(value: str, ask: Ask) -> None:
    assert ask(value) is None


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S", "%a %b %d %H:%M:%S %Y"])
def test_a_date_is_in_gmt(form: str, ask: Ask) -> None:
    soon = ask(time.strftime(form, time.gmtime(time.time() + 50)))
    assert soon is not None
    assert 30 <= soon <= 50
    assert ask(time.strftime(form, time.gmtime(time.time() - 50))) == 0


def test_a_date_far_ahead_is_a_long_wait(ask: Ask) -> None:
    wait = ask(formatdate(time.time() + FAR, usegmt=True))
    assert wait is not None
    assert wait >= 60
