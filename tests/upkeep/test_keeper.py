"""Real keeper processes: woken at once, stopped in order, killed in the middle, two at a time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils.timezone import now

from storage_app.models import Replica, StorageAccount, StorageEvent, StorageTask, TaskKind, VideoStore
from storage_app.upkeep import workspace
from storage_app.upkeep.tasks import ask_for
from tests.archive import copy_of, make_account
from tests.upkeep.conftest import StartKeeper, copies, due, events, file_of, tasks, videos
from tests.worker.conftest import StartWorker, eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def slow_source(accounts: list[StorageAccount]) -> Iterator[VideoStore]:
    """A video whose only copy is a pipe that gives its first byte when the test writes it: whoever reads it waits."""
    [video] = videos(accounts[:1], 1, 5000)
    copy = copy_of(video, accounts[0])
    copy.unlink()
    os.mkfifo(copy)
    yield video
    copy.unlink(missing_ok=True)


def held() -> StorageTask | None:
    """The task that somebody is at."""
    return StorageTask.objects.exclude(lease_token=None).first()


def test_a_running_keeper_takes_what_is_asked_for_at_once(
    start_keeper: StartKeeper, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    [video] = videos(accounts, 1)
    start_keeper()
    eventually(lambda: b"looks after the store" in (tmp_path / "host.log").read_bytes())
    asked = now()
    ask_for(TaskKind.MEASURE, account=accounts[0])
    eventually(lambda: not tasks())
    accounts[0].refresh_from_db()
    assert accounts[0].measured_at is not None
    assert (accounts[0].measured_at - asked).total_seconds() < 4
    assert video.pk


def test_a_running_keeper_notices_a_new_account_by_itself(
    start_keeper: StartKeeper, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    three = videos(accounts, 3)
    start_keeper()
    third = make_account(tmp_path, 3)
    eventually(lambda: Replica.objects.filter(account=3).count() == 3)
    eventually(lambda: not tasks())
    assert copy_of(three[1], third).read_bytes() == bytes([2]) * 3000


def test_a_keeper_that_is_killed_in_the_middle_loses_nothing(
    start_keeper: StartKeeper, accounts: list[StorageAccount], slow_source: VideoStore
) -> None:
    ask_for(TaskKind.REPLICATE, stored_file=file_of(slow_source))
    keeper = start_keeper()
    task = eventually(held)
    keeper.kill()
    keeper.wait()
    assert copies() == {(1, 1)}
    assert StorageTask.objects.filter(kind=TaskKind.REPLICATE).count() == 1
    source = copy_of(slow_source, accounts[0])
    source.unlink()
    source.write_bytes(bytes([1]) * 5000)
    start_keeper("other")
    eventually(lambda: copies() == {(1, 1), (1, 2)})
    eventually(lambda: not tasks())
    assert copy_of(slow_source, accounts[1]).read_bytes() == bytes([1]) * 5000
    assert task.worker_id.startswith("host/")


def test_what_a_kill_left_on_the_disk_is_removed(start_keeper: StartKeeper, scratch: Path) -> None:
    left = scratch / ".upkeep" / "left"
    left.mkdir(parents=True)
    (left / "part").write_bytes(b"x")
    with workspace.workspace() as used:
        start_keeper()
        eventually(lambda: not left.exists())
        assert used.is_dir()
    assert not used.exists()


def test_a_keeper_that_is_stopped_hands_its_task_back(
    start_keeper: StartKeeper, accounts: list[StorageAccount], slow_source: VideoStore
) -> None:
    ask_for(TaskKind.REPLICATE, stored_file=file_of(slow_source))
    keeper = start_keeper(SHUTDOWN_GRACE="2", LEASE_SECONDS="600")
    eventually(held)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(20) == 0
    task = StorageTask.objects.get(kind=TaskKind.REPLICATE, stored_file=file_of(slow_source))
    assert (task.lease_token, task.worker_id, task.attempts) == (None, "", 0), task.error_message


def test_an_idle_keeper_stops_at_once(
    start_keeper: StartKeeper, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    keeper = start_keeper(SHUTDOWN_GRACE="30")
    eventually(lambda: b"looks after the store" in (tmp_path / "host.log").read_bytes())
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(10) == 0


def test_two_keepers_do_each_thing_once(
    start_keeper: StartKeeper, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    many = videos(accounts[:1], 30)
    for name in ("one", "two"):
        start_keeper(name)
    eventually(lambda: len(copies()) == 60)
    eventually(lambda: not tasks())
    assert events() == ["copied"] * 30
    assert StorageEvent.objects.values("path").distinct().count() == 30
    assert {copy_of(video, accounts[1]).stat().st_size for video in many} == {3000}


def test_a_keeper_outlives_the_end_of_its_sessions(
    start_keeper: StartKeeper, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    videos(accounts, 1)
    keeper = start_keeper()
    eventually(lambda: b"looks after the store" in (tmp_path / "host.log").read_bytes())
    ask_for(TaskKind.MEASURE, account=accounts[0])
    eventually(lambda: not tasks())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^LISTEN storage_task'")
    ask_for(TaskKind.MEASURE, account=accounts[1])
    eventually(lambda: not tasks())
    assert keeper.poll() is None


def test_a_worker_keeps_a_keeper_running(
    start_worker: StartWorker, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    videos(accounts[:1], 2)
    worker = start_worker(KEEPER="true")

    def keepers() -> list[psutil.Process]:
        children = psutil.Process(worker.process.pid).children()
        return [child for child in children if "archive_keeper" in child.cmdline()]

    [first] = eventually(keepers)
    first.kill()
    eventually(lambda: len(copies()) == 4)
    [second] = eventually(keepers)
    assert second.pid != first.pid
    assert worker.stop() == 0
    assert psutil.wait_procs([second], timeout=10)[1] == []


def test_the_command_is_one_of_ours() -> None:
    with pytest.raises(SystemExit):
        call_command("archive_keeper", "--help")


def test_a_task_whose_file_is_gone_goes_with_it(accounts: list[StorageAccount]) -> None:
    [video] = videos(accounts[:1], 1)
    file = file_of(video)
    ask_for(TaskKind.REPLICATE, stored_file=file)
    video.delete()
    Replica.objects.all().delete()
    file.delete()
    assert (tasks(), due()) == ([], 0)
