"""How many connections a source gets after refusals, and when the last one gives up."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from queue_app.downloaders import Limits
from queue_app.downloaders.adaptation import Adaptation, Patience
from queue_app.downloaders.retry_after import retry_after
from queue_app.downloaders.version import Version
from queue_app.failures import ExpiredUrl, Transient

TROUBLE = Transient("in trouble")


def test_the_cap_is_learnt_from_the_first_refusals() -> None:
    adaptation = Adaptation(8, 8)
    for running in (8, 7, 6, 5):
        adaptation.refused(running, 0.0)
    assert not adaptation.may_start(4, 0.5)
    assert adaptation.may_start(3, 0.5)


def test_tries_for_more_become_rarer_in_vain_and_frequent_with_success() -> None:
    adaptation = Adaptation(8, 8)
    adaptation.refused(5, 0.0)
    waits, now = [], 0.0
    for _ in range(4):
        began = now
        while not adaptation.may_start(4, now):
            now += 0.25
        waits.append(now - began)
        assert adaptation.start(4, now)
        adaptation.refused(5, now, probe=True)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    adaptation.start(4, now + 100)
    adaptation.worked(probe=True)
    assert adaptation.may_start(4, now + 100)
    assert adaptation.may_start(5, now + 200)


def test_nobody_tries_before_the_source_said() -> None:
    adaptation = Adaptation(8, 8)
    adaptation.refused(3, 0.0, retry_after=20.0)
    assert not adaptation.may_start(2, 19.0)
    assert adaptation.may_start(2, 21.0)


def test_all_connections_open_once_a_range_was_given() -> None:
    adaptation = Adaptation(8, 2)
    assert not adaptation.may_start(2, 0.0)
    adaptation.worked()
    assert adaptation.may_start(7, 0.0)
    assert not adaptation.may_start(8, 0.0)


def test_without_ranges_one_connection_is_all() -> None:
    adaptation = Adaptation(8, 2)
    adaptation.only_one()
    assert adaptation.may_start(0, 0.0)
    assert not adaptation.may_start(1, 10**6)


def test_patience_ends_without_progress_only() -> None:
    patience = Patience(Limits(max_bytes=1, retry_wait=1.0))
    for done in range(0, 10**6, 70_000):
        patience.strike(TROUBLE, done)
    waits = [patience.strike(TROUBLE, 2 * 10**6) for _ in range(3)][1:]
    assert 0.5 <= waits[0] < waits[1] * 1.5
    with pytest.raises(Transient):
        patience.strike(TROUBLE, 2 * 10**6 + 10)


def test_patience_waits_as_long_as_the_source_says_within_reason() -> None:
    patience = Patience(Limits(max_bytes=1, retry_wait=0.0))
    assert patience.strike(TROUBLE, 0, 7.0) == 7.0
    assert patience.strike(TROUBLE, 0, 10**6) == 60.0


def test_what_does_not_pass_is_not_waited_for() -> None:
    with pytest.raises(ExpiredUrl):
        Patience(Limits(max_bytes=1)).strike(ExpiredUrl("over"), 10**6)


@pytest.mark.parametrize(("value", "seconds"), [("0", 0.0), ("120", 120.0), ("", None), ("soon", None), ("-1", None)])
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    wait = retry_after(formatdate(time.time() + 100, usegmt=True))
    assert wait is not None
    assert 90 < wait <= 100
    assert retry_after(formatdate(0, usegmt=True)) == 0.0


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Version('"a"', "", "", 10), True),
        (Version("", "", "", 10), True),
        (Version('"b"', "", "", 10), False),
        (Version('"a"', "", "", 11), False),
        (Version('W/"a"', "", "x", 10), True),
        (Version("", "", "", None), False),
    ],
)
def test_a_mirror_must_agree_in_all_that_both_say(other: Version, same: bool) -> None:
    assert Version('"a"', "", "", 10).may_mirror(other) == same
