"""Several accounts, some of which are dead, full or read-only, through real workers."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil
import pytest
from django.db import connection
from django.db.models.functions import Now

from queue_app import queue
from queue_app.models import JobEvent, VideoQueue
from storage_app.models import (
    PlacementPolicy,
    Replica,
    Reservation,
    Sidecar,
    StorageAccount,
    StorageEvent,
    StorageTask,
    TaskKind,
    VideoStore,
)
from tests.conftest import Client
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.worker.conftest import RunningWorker, StartWorker, add, eventually, finished


@pytest.fixture
def third(accounts: list[StorageAccount], tmp_path: Path) -> StorageAccount:
    """One account more."""
    return StorageAccount.objects.create(index=3, kind="local", username="local3", root=str(tmp_path / "account3"))


@pytest.fixture
def url(origin: Origin, videos: Videos) -> str:
    return origin.put("/a.mp4", videos.mp4.read_bytes())


def kill(account: StorageAccount) -> Path:
    """In the place of its folder lies a file."""
    Path(account.root).write_text("This is not a folder.")
    return Path(account.root)


def holders(suffix: str = ".mp4") -> list[int]:
    """Accounts with a confirmed copy of the one file with this suffix."""
    rows = Replica.objects.filter(stored_file__path__endswith=suffix)
    return sorted(rows.values_list("account_id", flat=True))


def on_disk(account: StorageAccount, suffix: str = ".mp4") -> list[Path]:
    return list(Path(account.root).rglob(f"*{suffix}"))


def waits(job: VideoQueue) -> VideoQueue:
    """The job once it has failed for a time and kept its file."""

    def look() -> bool:
        job.refresh_from_db()
        return job.status == "uploading" and job.retry_count > 0 and job.lease_token is None

    eventually(look)
    return job


def wake(job: VideoQueue) -> None:
    StorageAccount.objects.update(paused_until=None)
    VideoQueue.objects.filter(id=job.id).update(not_before=None)


def test_one_dead_account_does_not_keep_a_video_from_being_ready(
    start_worker: StartWorker, url: str, videos: Videos, accounts: list[StorageAccount], third: StorageAccount
) -> None:
    kill(accounts[0])
    start_worker()
    job = finished(add(url))
    assert (job.status, job.retry_count, job.attempt) == ("ready", 0, 1)
    video = VideoStore.objects.select_related("stored_file").get()
    assert video.stored_file is not None
    assert (holders(), holders(".json"), video.stored_file.copies_wanted) == ([2, 3], [2, 3], 3)
    assert (video.hf_account, video.hf_repo) == (2, "local2/weaboo-55825")
    tasks = StorageTask.objects.filter(kind=TaskKind.REPLICATE).values_list("stored_file__path", flat=True)
    assert sorted(Path(str(path)).suffix for path in tasks) == [".json", ".mp4"]
    paused = StorageAccount.objects.get(paused_until__gt=Now())
    event = StorageEvent.objects.get(kind="put_failed")
    assert (paused.index, event.account) == (1, 1)
    assert "did not take weaboo-55825/55825/ep1/" in event.text
    assert not Reservation.objects.exists()


def test_the_admin_shows_it_as_under_replicated(
    start_worker: StartWorker, url: str, accounts: list[StorageAccount], third: StorageAccount, admin_client: object
) -> None:
    from django.test import Client as Browser

    kill(third)
    start_worker()
    finished(add(url))
    assert isinstance(admin_client, Browser)
    page = admin_client.get("/admin/storage_app/videostore/?copies=under").content.decode()
    assert "2 of 3" in page


@pytest.fixture
def read_only(tmp_path: Path, third: StorageAccount) -> Iterator[None]:
    """The third account's folder takes nothing, not even from root."""
    folder = Path(third.root)
    folder.mkdir()
    if os.geteuid():
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
        yield
        folder.chmod(stat.S_IRWXU)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"reelkeep", str(folder).encode(), b"tmpfs", 1, b"size=64k"):
        pytest.skip("root may not mount here")
    yield
    libc.umount2(str(folder).encode(), 2)


@pytest.fixture
def full(tmp_path: Path, third: StorageAccount) -> Iterator[None]:
    """The third account's folder is a file system of 64 KiB."""
    folder = Path(third.root)
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() or libc.mount(b"reelkeep", str(folder).encode(), b"tmpfs", 0, b"size=64k"):
        pytest.skip("only root may mount a small file system")
    yield
    libc.umount2(str(folder).encode(), 2)


@pytest.mark.usefixtures("read_only")
def test_a_read_only_account_rests_and_the_others_make_it_ready(start_worker: StartWorker, url: str) -> None:
    start_worker()
    assert finished(add(url)).status == "ready"
    assert (holders(), StorageAccount.objects.get(index=3).pause_count) == ([1, 2], 1)


@pytest.mark.usefixtures("full")
def test_a_full_account_rests_and_the_others_make_it_ready(start_worker: StartWorker, url: str) -> None:
    start_worker()
    assert finished(add(url)).status == "ready"
    assert holders() == [1, 2]
    assert "full" in StorageAccount.objects.get(index=3).pause_reason


def test_with_all_dead_the_video_waits_with_its_file_and_its_attempt(
    start_worker: StartWorker, url: str, origin: Origin, accounts: list[StorageAccount]
) -> None:
    dead = [kill(account) for account in accounts]
    start_worker()
    job = waits(add(url))
    assert (job.attempt, job.failure_class) == (1, "transient")
    rests = sorted(StorageAccount.objects.values_list("paused_until", flat=True), key=str)
    assert job.not_before == rests[0]
    for path in dead:
        path.unlink()
    wake(job)
    assert finished(job).status == "ready"
    assert (holders(), origin.count("/a.mp4")) == ([1, 2], 1)


def test_a_file_that_was_damaged_since_its_proof_is_downloaded_again(
    start_worker: StartWorker, url: str, videos: Videos, origin: Origin, accounts: list[StorageAccount]
) -> None:
    dead = [kill(account) for account in accounts]
    worker = start_worker()
    job = waits(add(url))
    [video] = [path for path in worker.scratch_files() if path.stat().st_size == videos.mp4.stat().st_size]
    with video.open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    for path in dead:
        path.unlink()
    wake(job)
    assert finished(job).status == "ready"
    assert (holders(), origin.count("/a.mp4") > 1) == ([1, 2], True)
    assert all(path.read_bytes() == videos.mp4.read_bytes() for account in accounts for path in on_disk(account))
    assert not StorageAccount.objects.filter(paused_until__gt=Now()).exists()


def test_below_the_minimum_of_the_policy_it_is_not_ready(
    start_worker: StartWorker, url: str, accounts: list[StorageAccount], third: StorageAccount
) -> None:
    PlacementPolicy.objects.create(mal_id=55825, minimum=3)
    dead = kill(third)
    start_worker()
    job = waits(add(url))
    assert "2 of 3 copies are confirmed" in (job.error_message or "")
    assert not VideoStore.objects.exists()
    before = [on_disk(account)[0].stat().st_ino for account in accounts]
    dead.unlink()
    wake(job)
    assert finished(job).status == "ready"
    assert [on_disk(account)[0].stat().st_ino for account in accounts] == before, "a confirmed copy was put again"
    assert holders() == [1, 2, 3]
    assert not StorageTask.objects.exists()


def test_a_policy_chooses_the_least_used_of_its_accounts(
    start_worker: StartWorker, url: str, accounts: list[StorageAccount], third: StorageAccount
) -> None:
    policy = PlacementPolicy.objects.create(copies=1)
    policy.accounts.set([accounts[1], third])
    StorageAccount.objects.filter(index=2).update(used_bytes=90, limit_bytes=10**9)
    StorageAccount.objects.filter(index=3).update(used_bytes=50, limit_bytes=10**9)
    start_worker()
    assert finished(add(url)).status == "ready"
    assert (holders(), VideoStore.objects.get().hf_account) == ([3], 3)
    assert not on_disk(accounts[0])


def test_where_the_chosen_account_fails_the_next_best_takes_its_place(
    start_worker: StartWorker, url: str, accounts: list[StorageAccount]
) -> None:
    PlacementPolicy.objects.create(copies=1)
    kill(accounts[0])
    start_worker()
    job = finished(add(url))
    assert (job.status, job.retry_count, holders()) == ("ready", 0, [2])
    assert not StorageTask.objects.exists()


def test_the_primary_stays_when_the_video_is_archived_again(
    start_worker: StartWorker, url: str, accounts: list[StorageAccount]
) -> None:
    dead = kill(accounts[0])
    start_worker()
    job = finished(add(url))
    assert VideoStore.objects.get().hf_account == 2
    dead.unlink()
    StorageAccount.objects.update(paused_until=None)
    queue.reset_videos([job.id], actor="test", reason="anew")
    eventually(lambda: JobEvent.objects.filter(job=job, to_status="ready").count() == 2)
    assert (holders(), VideoStore.objects.get().hf_account) == ([1, 2], 2)


def test_the_first_account_is_the_primary_whoever_was_faster(
    start_worker: StartWorker, url: str, accounts: list[StorageAccount], third: StorageAccount
) -> None:
    start_worker()
    finished(add(url))
    assert VideoStore.objects.get().hf_account == 1


def test_a_video_that_fits_nowhere_is_not_downloaded_and_waits(
    start_worker: StartWorker, url: str, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    StorageAccount.objects.update(limit_bytes=1000)
    start_worker()
    job = add(url)
    eventually(lambda: VideoQueue.objects.filter(id=job.id, failure_class="storage_full").exists())
    job.refresh_from_db()
    assert (job.status, job.attempt) in {("pending", 0), ("uploading", 1)}
    assert "room" in (job.error_message or "")
    StorageAccount.objects.update(limit_bytes=None)
    VideoQueue.objects.update(not_before=None)
    queue.wake_workers()
    assert finished(job).status == "ready"
    assert not StorageAccount.objects.filter(pause_count__gt=0).exists()


def test_beside_every_video_lies_its_manifest_also_where_the_content_is_shared(
    start_worker: StartWorker, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    start_worker()
    for episode in (1, 2):
        finished(add(origin.put(f"/{episode}.mp4", videos.mp4.read_bytes()), episode))
    for video in VideoStore.objects.select_related("stored_file"):
        [sidecar] = Sidecar.objects.filter(video=video, kind="manifest").select_related("stored_file")
        file = sidecar.stored_file
        assert (file.path, file.replicas.count()) == (f"55825/ep{video.episode}/{video.file_key}.json", 2)
        facts = json.loads((Path(accounts[1].root) / file.repo / file.path).read_bytes())
        assert video.stored_file is not None
        assert (facts["schema"], facts["file"]["sha256"]) == (1, video.stored_file.sha256)
        assert (facts["file"]["path"], facts["key"]["episode"]) == (video.stored_file.path, video.episode)


@contextmanager
def stuck_at_the_second(
    worker: RunningWorker, job: VideoQueue, accounts: list[StorageAccount], client: Client
) -> Iterator[None]:
    """The job has its copy on the first account, has sent all to the second, and can't write that down."""
    PlacementPolicy.objects.create(minimum=2)
    dead = kill(accounts[1])
    waits(job)
    dead.unlink()
    StorageAccount.objects.update(paused_until=None)
    with client.transaction():
        client.execute("SELECT 1 FROM storage_account WHERE index = 2 FOR UPDATE")
        VideoQueue.objects.filter(id=job.id).update(not_before=None)
        eventually(lambda: on_disk(accounts[1]))
        yield


def test_a_worker_killed_between_two_accounts_stores_no_byte_twice(
    start_worker: StartWorker, url: str, origin: Origin, accounts: list[StorageAccount], client_connection: Client
) -> None:
    worker = start_worker()
    job = add(url)
    with stuck_at_the_second(worker, job, accounts, client_connection):
        before = on_disk(accounts[0])[0].stat()
        tree = worker.tree()
        worker.stop(signal.SIGKILL)
        assert not psutil.wait_procs(tree, timeout=10)[1]
    start_worker()
    assert finished(job).status == "ready"
    after = on_disk(accounts[0])[0].stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (holders(), origin.count("/a.mp4")) == ([1, 2], 1)


def test_a_job_taken_away_in_the_middle_writes_nothing_more(
    start_worker: StartWorker, url: str, accounts: list[StorageAccount], client_connection: Client
) -> None:
    worker = start_worker()
    job = add(url)
    with stuck_at_the_second(worker, job, accounts, client_connection):
        eventually(lambda: waiting_for_a_lock() == 1)
        before = VideoQueue.objects.filter(id=job.id).values_list("lease_token", flat=True).get()
        cancelled = Thread(target=cancel, args=(job,))
        cancelled.start()
    cancelled.join(30)
    assert before is not None
    eventually(lambda: not worker.scratch_files())
    job.refresh_from_db()
    assert (job.status, VideoStore.objects.exists()) == ("cancelled", False)
    assert not holders(".json")
    assert not Reservation.objects.exists()
    assert not StorageAccount.objects.filter(paused_until__gt=Now()).exists()


def cancel(job: VideoQueue) -> None:
    """What waits for the row that the worker's statement holds."""
    try:
        queue.cancel_videos([job.id], actor="test", reason="no longer wanted")
    finally:
        connection.close()


def waiting_for_a_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(cursor.fetchone()[0])
