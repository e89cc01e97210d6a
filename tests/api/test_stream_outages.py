"""GET /stream while accounts are out of order: viewers wait for them once, and never for each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from storage_app.backends import backend_for, hub_place
from storage_app.backends.s3 import S3Backend
from storage_app.models import Replica, StorageAccount, StorageTask, StoredFile, TaskKind
from storage_app.playback import failover, known
from storage_app.playback.copies import Copy, NoCopyLeft
from storage_app.playback.remote import RemoteCopy
from storage_app.playback.threads import pool
from storage_app.replicas import copies_of
from tests.api.test_stream_accounts import body, desk, get, hub_account, local_account, s3_account, store
from tests.archive import CONTENT
from tests.playing import bytes_of, play
from tests.servers.hub import Cut as HubCut
from tests.servers.hub import Hub, Silence
from tests.servers.hub import Refuse as HubRefusal
from tests.servers.s3_faults import Cut, S3Faults, Slow, Stall
from tests.storage.cases import Desk

__all__ = ["desk", "hub_account", "local_account", "s3_account"]
SIZE = len(CONTENT)
URL = "/stream/55825/1/animasu/720p"


def copies() -> list[Copy]:
    return copies_of(StoredFile.objects.get())


def test_players_wait_for_a_shorter_time_than_uploads(
    s3_account: StorageAccount, hub_account: StorageAccount, settings: Any
) -> None:
    settings.STORAGE_TIMEOUT = 60
    bucket, hurried = backend_for(s3_account), backend_for(s3_account, timeout=3)
    assert isinstance(bucket, S3Backend)
    assert isinstance(hurried, S3Backend)
    assert (bucket.bucket.timeout, hurried.bucket.timeout) == (60, 3)
    assert hurried.bucket.attempts < bucket.bucket.attempts
    assert (hub_place(hub_account).timeout, hub_place(hub_account, 3).timeout) == (60, 3)


# --- Order ---


def kinds() -> list[str]:
    """Of the copies, in their order."""
    return [copy.kind if isinstance(copy, RemoteCopy) else "local" for copy in copies()]


def test_folders_come_before_buckets_and_these_before_repositories(
    s3_account: StorageAccount, hub_account: StorageAccount, local_account: StorageAccount, desk: Desk
) -> None:
    store(desk, hub_account, s3_account, local_account)
    assert kinds() == ["local", "s3", "huggingface"]


def test_what_has_failed_lately_comes_last(
    s3_account: StorageAccount, hub_account: StorageAccount, local_account: StorageAccount, desk: Desk
) -> None:
    store(desk, hub_account, s3_account, local_account)
    known.failed(copies()[0].key)
    assert kinds() == ["s3", "huggingface", "local"]


def test_of_two_accounts_of_a_kind_the_faster_one_comes_first_and_an_unknown_one_before_it(
    s3_account: StorageAccount, desk: Desk
) -> None:
    store(desk, s3_account)
    file = StoredFile.objects.get()
    for index in (70, 71):
        other = StorageAccount.objects.create(index=index, kind="s3", username=f"s{index}", bucket=f"b{index}")
        Replica.objects.create(stored_file=file, account=other)
    speeds = {7: 100_000.0, 70: 5_000_000.0}
    for copy in copies():
        if copy.index in speeds:
            known.took(copy.account, 1_000_000, 1_000_000 / speeds[copy.index])
    assert [copy.index for copy in copies()] == [71, 70, 7]


def test_what_an_account_sent_is_measured(s3_account: StorageAccount, desk: Desk) -> None:
    store(desk, s3_account)
    (copy,) = copies()
    assert known.speed(copy.account) is None
    body(get())
    assert (known.speed(copy.account) or 0) > 0


def test_an_account_that_is_paused_is_asked_last(
    s3_account: StorageAccount, hub_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account, hub_account)
    StorageAccount.objects.filter(pk=s3_account.pk).update(
        paused_until=now() + timedelta(hours=1), pause_reason="Bucket films can't be reached."
    )
    before = len(s3_faults.requests)
    assert body(get()) == CONTENT
    assert len(s3_faults.requests) == before


@pytest.mark.parametrize(
    ("reason", "ends"), [("It has no room left.", timedelta(hours=1)), ("It can't be reached.", timedelta(hours=-1))]
)
def test_a_full_account_and_one_whose_pause_is_over_serve_all_the_same(
    s3_account: StorageAccount,
    hub_account: StorageAccount,
    s3_faults: S3Faults,
    desk: Desk,
    reason: str,
    ends: timedelta,
) -> None:
    store(desk, s3_account, hub_account)
    StorageAccount.objects.filter(pk=s3_account.pk).update(paused_until=now() + ends, pause_reason=reason)
    before = s3_faults.count("GetObject")
    assert body(get()) == CONTENT
    assert s3_faults.count("GetObject") > before


# --- Silence ---


def test_an_account_that_falls_silent_is_waited_for_once_and_not_with_every_seek(
    s3_account: StorageAccount, hub_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account, hub_account)
    s3_faults.misbehave("GetObject", Stall(times=99))
    assert body(get(Range="bytes=100-")) == CONTENT[100:]
    before = len(s3_faults.requests)
    assert body(get(Range="bytes=700000-")) == CONTENT[700000:]
    assert len(s3_faults.requests) == before


def test_a_copy_that_failed_is_asked_again_when_it_is_the_only_one(
    s3_account: StorageAccount, s3_faults: S3Faults, desk: Desk, settings: Any
) -> None:
    store(desk, s3_account)
    settings.STORAGE_TIMEOUT = 0.3
    s3_faults.misbehave("GetObject", Stall(times=99))
    assert get().status_code == 503
    settings.STORAGE_TIMEOUT = 10
    s3_faults.misbehave("GetObject")
    assert body(get()) == CONTENT


def test_an_account_that_is_only_slow_is_read_on_when_no_other_copy_can_be_had(
    s3_account: StorageAccount,
    hub_account: StorageAccount,
    s3_faults: S3Faults,
    hub: Hub,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failover, "SILENT_SECONDS", 0.05)
    store(desk, s3_account, hub_account)
    hub.misbehave("resolve", HubRefusal(code=500))
    s3_faults.misbehave("GetObject", Slow(bytes_per_second=400_000))
    before = s3_faults.count("GetObject")
    assert body(get()) == CONTENT
    assert s3_faults.count("GetObject") == before + 1


def test_an_account_that_hangs_up_on_a_viewer_who_paused_has_not_failed(
    s3_account: StorageAccount, hub_account: StorageAccount, s3_faults: S3Faults, desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(failover, "PAUSED_SECONDS", -1.0)
    store(desk, s3_account, hub_account)
    s3_faults.misbehave("GetObject", Cut(times=1, after=700_000))
    before = s3_faults.count("GetObject")
    assert body(get()) == CONTENT
    assert s3_faults.count("GetObject") == before + 2
    assert not known.has_failed(copies()[0].key)
    assert kinds() == ["s3", "huggingface"]


@pytest.fixture
def patient() -> Iterator[None]:
    """Whoever hangs in this process's threads is left to itself afterwards."""
    yield
    pool.cache_clear()


def test_viewers_of_an_account_that_hangs_hold_up_nobody_else(
    s3_account: StorageAccount, hub_account: StorageAccount, hub: Hub, desk: Desk, patient: None
) -> None:
    store(desk, s3_account, hub_account)
    bucket, repository = copies()
    hub.misbehave("*", Silence())
    before = hub.count("resolve")

    async def all_of_them() -> tuple[list[bytes], bool]:
        hanging = [asyncio.ensure_future(bytes_of([repository], SIZE)) for _ in range(40)]
        await asyncio.sleep(0)
        served = await asyncio.gather(*(bytes_of([bucket], SIZE) for _ in range(5)))
        over = any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        return served, over

    served, over = asyncio.run(all_of_them())
    assert served == [CONTENT] * 5
    assert not over
    assert hub.count("resolve") == before + 1


# --- URLs of the accounts ---


def test_a_repositorys_signed_url_is_asked_for_once_for_many_ranges_and_viewers(
    hub_account: StorageAccount, hub: Hub, desk: Desk
) -> None:
    store(desk, hub_account)
    before = hub.count("resolve")
    for start in range(0, 600_000, 100_000):
        assert body(get(Range=f"bytes={start}-{start + 9}")) == CONTENT[start : start + 10]

    async def many() -> list[bytes]:
        return await asyncio.gather(*(bytes_of(copies_now, SIZE) for _ in range(10)))

    copies_now = copies()
    assert asyncio.run(many()) == [CONTENT] * 10
    assert hub.count("resolve") == before + 1
    assert hub.tokens_leaked == 0


def test_it_is_asked_for_anew_shortly_before_its_end(
    hub_account: StorageAccount, hub: Hub, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.url_lifetime = 600
    store(desk, hub_account)
    body(get(Range="bytes=0-9"))
    asked, began = hub.count("resolve"), time.time()
    monkeypatch.setattr(time, "time", lambda: began + 500)
    body(get(Range="bytes=0-9"))
    assert hub.count("resolve") == asked
    monkeypatch.setattr(time, "time", lambda: began + 545)
    body(get(Range="bytes=0-9"))
    assert hub.count("resolve") == asked + 1


def test_a_url_that_is_refused_is_replaced_at_once_and_nobody_notices(
    hub_account: StorageAccount, hub: Hub, desk: Desk
) -> None:
    store(desk, hub_account)
    body(get(Range="bytes=0-9"))
    asked = hub.count("resolve")
    hub.misbehave("cdn", HubRefusal(times=1, code=403))
    assert body(get(Range="bytes=5-9")) == CONTENT[5:10]
    assert hub.count("resolve") == asked + 1


def test_no_answer_and_no_log_shows_the_signed_url(
    hub_account: StorageAccount, s3_account: StorageAccount, hub: Hub, s3_faults: S3Faults, desk: Desk,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    store(desk, hub_account, s3_account)
    caplog.set_level("DEBUG")
    answers = [get(), get("head")]
    s3_faults.misbehave("GetObject", Cut(after=1000))
    hub.misbehave("cdn", HubCut(after=1000))
    answers += [get(Range="bytes=0-500"), get("head")]
    with pytest.raises(NoCopyLeft):
        get(Range="bytes=0-5000")
    shown = caplog.text + repr([(answer.response.headers, answer.body[:0]) for answer in answers])
    assert "The copy of" in caplog.text
    for secret in ("signature=", "expires=", "X-Amz", hub.storage_endpoint, hub.user("ann").token):
        assert secret.lower() not in shown.lower()


# --- What fails is looked after ---


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_fails_is_read_back_once_however_many_viewers_notice(
    s3_account: StorageAccount, hub_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account, hub_account)
    s3_faults.misbehave("GetObject", Cut(after=1000))
    for _ in range(3):
        assert play(URL).body == CONTENT
    deadline = time.monotonic() + 30
    while not StorageTask.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    (task,) = StorageTask.objects.all()
    assert (task.kind, task.account_id, task.stored_file) == (TaskKind.VERIFY, 7, StoredFile.objects.get())
    assert "viewer" in task.reason
