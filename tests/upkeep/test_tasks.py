"""Storage tasks: claimed once, renewed, ended by their holder only, never lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils.timezone import now

from storage_app.models import StorageAccount, StorageTask, TaskKind
from storage_app.upkeep import tasks
from storage_app.upkeep.lease import Beat, TaskLost
from tests.conftest import Client
from tests.worker.conftest import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = timedelta(seconds=30)
ALL = tuple(TaskKind)


def claim(*kinds: TaskKind) -> StorageTask | None:
    return tasks.claim(kinds or ALL, "test", LEASE)


def claimed(*kinds: TaskKind) -> StorageTask:
    task = claim(*kinds)
    assert task is not None
    return task


@pytest.fixture
def task(accounts: list[StorageAccount]) -> StorageTask:
    return tasks.ask_for(TaskKind.MEASURE, account=accounts[0])


def test_a_task_that_is_asked_for_twice_is_there_once(task: StorageTask, accounts: list[StorageAccount]) -> None:
    assert tasks.ask_for(TaskKind.MEASURE, account=accounts[0]).pk == task.pk
    assert StorageTask.objects.count() == 1


def test_a_claimed_task_is_nobody_elses(task: StorageTask) -> None:
    assert (claimed().pk, claim()) == (task.pk, None)


def test_only_the_wanted_kinds_are_claimed(task: StorageTask) -> None:
    assert claim(TaskKind.REMOVE, TaskKind.VERIFY) is None
    assert claim(TaskKind.MEASURE) is not None


def test_the_task_of_a_dead_worker_is_anybodys(task: StorageTask) -> None:
    first = claimed()
    StorageTask.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    second = claimed()
    assert second.pk == first.pk
    assert not tasks.renew(first, LEASE, 5, 10)
    assert not tasks.finish(first)
    assert not tasks.fail(first, "too late")
    assert not tasks.hand_back(first)
    assert StorageTask.objects.get().lease_token == second.lease_token
    assert tasks.finish(second)
    assert not StorageTask.objects.exists()


def test_progress_is_written_and_keeps_the_lease(task: StorageTask) -> None:
    held = claimed()
    assert tasks.renew(held, timedelta(hours=1), 5, 10)
    task.refresh_from_db()
    assert (task.bytes_done, task.bytes_total) == (5, 10)
    assert task.lease_expires_at is not None
    assert task.lease_expires_at > now() + timedelta(minutes=50)


def test_waits_grow_with_each_failure_up_to_an_hour(task: StorageTask) -> None:
    waits = []
    for _attempt in range(12):
        StorageTask.objects.update(not_before=Now())
        tasks.fail(claimed(), "no")
        task.refresh_from_db()
        waits.append((task.not_before - now()).total_seconds())
    assert 4 < waits[0] <= 10
    assert waits[3] > waits[0]
    assert 1790 < waits[-1] <= 3600
    assert (task.attempts, task.error_message) == (12, "no")


def test_what_is_handed_back_is_due_at_once_and_counts_no_attempt(task: StorageTask) -> None:
    tasks.hand_back(claimed())
    assert claimed().attempts == 0


def test_a_task_asked_for_while_it_is_in_work_is_done_once_more(
    task: StorageTask, accounts: list[StorageAccount]
) -> None:
    held = claimed()
    tasks.ask_for(TaskKind.MEASURE, account=accounts[0])
    assert claim() is None
    assert tasks.finish(held)
    again = claimed()
    assert again.pk == task.pk
    tasks.finish(again)
    assert not StorageTask.objects.exists()


def test_a_failed_task_that_was_asked_for_meanwhile_does_not_wait(
    task: StorageTask, accounts: list[StorageAccount]
) -> None:
    held = claimed()
    tasks.ask_for(TaskKind.MEASURE, account=accounts[0])
    tasks.fail(held, "no")
    assert claim() is not None


def test_tasks_of_a_paused_account_wait_for_it_but_measuring_goes_on(accounts: list[StorageAccount]) -> None:
    tasks.ask_for(TaskKind.REMOVE, account=accounts[0], repo="r", path="p")
    tasks.ask_for(TaskKind.MEASURE, account=accounts[0])
    tasks.pause(accounts[0].index, "no answer")
    assert claimed().kind == "measure"
    assert claim() is None
    StorageAccount.objects.update(paused_until=None)
    assert claimed().kind == "remove"


def test_a_full_account_may_still_remove_things(accounts: list[StorageAccount]) -> None:
    tasks.ask_for(TaskKind.REMOVE, account=accounts[0], repo="r", path="p")
    tasks.pause(accounts[0].index, "The disk is full.")
    assert claimed().kind == "remove"


def test_a_pause_lasts_as_long_as_the_account_has_asked_for(accounts: list[StorageAccount]) -> None:
    until = tasks.pause(accounts[0].index, "slow down", 7200)
    assert until is not None
    assert until > now() + timedelta(minutes=119)


def test_a_pause_lasts_a_day_at_most_whatever_an_account_asks_for(accounts: list[StorageAccount]) -> None:
    until = tasks.pause(accounts[0].index, "slow down", 10**9)
    accounts[0].refresh_from_db()
    assert until == accounts[0].paused_until
    assert until is not None
    assert until < now() + timedelta(hours=25)


def test_an_account_that_is_gone_is_not_paused(db: None) -> None:
    assert tasks.pause(17, "gone", 5) is None


def test_many_workers_at_once_claim_each_task_once(
    accounts: list[StorageAccount], connect: Callable[[], Client]
) -> None:
    for number in range(40):
        tasks.ask_for(TaskKind.REMOVE, account=accounts[0], repo="r", path=str(number))
    won: list[str] = []

    def work() -> None:
        while task := tasks.claim(ALL, "test", LEASE):
            won.append(task.path)
        connection.close()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(str(number) for number in range(40))


def test_the_lease_of_work_that_has_become_silent_runs_out(
    task: StorageTask, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr("storage_app.upkeep.lease.SILENT_SECONDS", 0.5)
    settings.STORAGE_TIMEOUT = 0
    with Beat(claimed(), timedelta(seconds=1)) as beat:
        again = eventually(claim)
        assert again.pk == task.pk
        with pytest.raises(TaskLost):
            beat.check()


def test_the_lease_of_work_that_goes_on_is_kept(
    task: StorageTask, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr("storage_app.upkeep.lease.SILENT_SECONDS", 0.5)
    settings.STORAGE_TIMEOUT = 0
    first = claimed()
    until = first.lease_expires_at
    with Beat(first, timedelta(seconds=3)) as beat:

        def renewed_twice() -> bool:
            nonlocal until
            beat.check()
            task.refresh_from_db()
            assert until is not None
            return task.lease_expires_at is not None and task.lease_expires_at > until + timedelta(seconds=2)

        eventually(renewed_twice)
    assert claim() is None


def test_large_files_may_be_silent_for_longer(
    task: StorageTask, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr("storage_app.upkeep.lease.SILENT_SECONDS", 0.1)
    settings.STORAGE_TIMEOUT = 0
    first = claimed()
    until = first.lease_expires_at
    with Beat(first, timedelta(seconds=3)) as beat:
        beat.expect(10**12)

        def renewed() -> bool:
            task.refresh_from_db()
            assert until is not None
            return task.lease_expires_at is not None and task.lease_expires_at > until + timedelta(seconds=2)

        eventually(renewed)


def test_keepers_are_told_of_a_new_task(accounts: list[StorageAccount], client_connection: Client) -> None:
    client_connection.execute("LISTEN storage_task")
    tasks.ask_for(TaskKind.MEASURE, account=accounts[0])
    assert [told.channel for told in client_connection.notifies(timeout=5, stop_after=1)] == ["storage_task"]
