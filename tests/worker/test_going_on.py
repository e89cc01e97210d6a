"""What was done before an end, whatever kind of end, is not done again."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from queue_app.media.ffmpeg import find_tools
from queue_app.models import VideoQueue
from storage_app.models import PlacementPolicy, Replica, StorageAccount, VideoStore
from tests.servers.origin import Changed, Cut, Origin, Slow
from tests.servers.videos import Videos
from tests.worker.conftest import RunningWorker, StartWorker, add, eventually, finished, in_status

SECONDS = 10


@pytest.fixture
def slow(origin: Origin, videos: Videos) -> str:
    """The URL of an MP4 that takes ten seconds."""
    origin.misbehave("/slow.mp4", Slow(bytes_per_second=videos.mp4.stat().st_size // SECONDS))
    return origin.put("/slow.mp4", videos.mp4.read_bytes())


def arrived(job: VideoQueue, share: float) -> None:
    """Wait until this share of the job's bytes is on the disk."""

    def look() -> bool:
        job.refresh_from_db()
        return job.status == "downloading" and job.bytes_done >= share * (job.bytes_total or 10**12)

    eventually(look)


def stored(accounts: list[StorageAccount]) -> list[bytes]:
    return [path.read_bytes() for account in accounts for path in Path(account.root).rglob("*.mp4")]


def copies() -> int:
    """Of the video alone, without what lies beside it."""
    return Replica.objects.filter(stored_file__content_type="video/mp4").count()


def dead(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_a_worker_killed_three_times_fetches_nearly_every_byte_once(
    start_worker: StartWorker, origin: Origin, slow: str, videos: Videos, accounts: list[StorageAccount]
) -> None:
    job = add(slow, max_attempts=9)
    for share in (0.3, 0.6, 0.9):
        worker = start_worker()
        arrived(job, share)
        tree = worker.tree()
        worker.stop(signal.SIGKILL)
        assert dead(tree)
    last = start_worker()
    assert (finished(job).status, job.attempt) == ("ready", 4)
    assert stored(accounts) == [videos.mp4.read_bytes()] * 2
    assert origin.served("/slow.mp4") < 1.5 * videos.mp4.stat().st_size
    eventually(lambda: not last.scratch_files())


def test_a_stopped_worker_goes_on_when_it_is_started_again(
    start_worker: StartWorker, origin: Origin, slow: str, videos: Videos, accounts: list[StorageAccount]
) -> None:
    worker = start_worker(SHUTDOWN_GRACE="1")
    job = add(slow)
    arrived(job, 0.5)
    worker.stop(signal.SIGTERM)
    assert in_status(job, "pending").attempt == 0
    start_worker()
    assert finished(job).status == "ready"
    assert stored(accounts) == [videos.mp4.read_bytes()] * 2
    assert origin.served("/slow.mp4") < 1.3 * videos.mp4.stat().st_size


def test_a_transient_failure_goes_on_in_the_next_attempt(
    start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    size = videos.mp4.stat().st_size
    url = origin.put("/cut.mp4", videos.mp4.read_bytes())
    origin.misbehave("/cut.mp4", Cut(after=size // 6, times=5))
    start_worker()
    assert (finished(add(url)).status, origin.served("/cut.mp4")) == ("ready", size)


def test_a_suspended_worker_whose_job_another_host_takes_corrupts_nothing(
    start_worker: StartWorker, origin: Origin, slow: str, videos: Videos, accounts: list[StorageAccount]
) -> None:
    first = start_worker("one")
    job = add(slow)
    arrived(job, 0.2)
    tree = first.tree()
    for process in tree:
        process.suspend()
    origin.misbehave("/slow.mp4")
    start_worker("two")
    in_status(job, "ready")
    for process in reversed(tree):
        process.resume()
    eventually(lambda: not first.scratch_files())
    assert in_status(job, "ready").attempt == 2
    assert stored(accounts) == [videos.mp4.read_bytes()] * 2
    assert (VideoStore.objects.count(), copies()) == (1, 2)


def test_a_suspended_task_whose_job_its_own_worker_takes_again_corrupts_nothing(
    start_worker: StartWorker, origin: Origin, slow: str, videos: Videos, accounts: list[StorageAccount]
) -> None:
    worker = start_worker()
    job = add(slow)
    arrived(job, 0.2)
    task = task_of(worker, origin)
    task.suspend()
    origin.misbehave("/slow.mp4", Slow(bytes_per_second=videos.mp4.stat().st_size // 4))
    eventually(lambda: origin.count("/slow.mp4") == 2)
    assert "Range" not in origin.requests[-1].headers, "took over the folder of a living task"
    task.resume()
    assert finished(job).status == "ready"
    assert stored(accounts) == [videos.mp4.read_bytes()] * 2


def test_a_worker_killed_while_it_proves_does_not_download_again(
    start_worker: StartWorker, origin: Origin, videos: Videos, tmp_path: Path
) -> None:
    waiting = tmp_path / "ffmpeg"
    waiting.write_text(f'#!/bin/sh\nread line < "{tmp_path}/never"\nexec "{find_tools().ffmpeg}" "$@"\n')
    waiting.chmod(stat.S_IRWXU)
    os.mkfifo(tmp_path / "never")
    worker = start_worker(FFMPEG=str(waiting))
    job = add(origin.put("/a.mkv", videos.mkv.read_bytes()))
    eventually(lambda: VideoQueue.objects.filter(id=job.id, stage="remux").exists())
    tree = worker.tree()
    worker.stop(signal.SIGKILL)
    assert dead(tree)
    start_worker()
    assert (finished(job).status, origin.count("/a.mkv")) == ("ready", 1)


def test_a_resumed_download_that_does_not_prove_gets_a_fresh_start(
    start_worker: StartWorker, origin: Origin, slow: str, videos: Videos, accounts: list[StorageAccount]
) -> None:
    whole = videos.mp4.read_bytes()
    lies = [Slow(bytes_per_second=len(whole) // SECONDS), Changed(etag='"same"')]
    origin.misbehave("/slow.mp4", *lies)
    origin.put("/slow.mp4", whole[:30_000] + bytes(len(whole) - 30_000))
    worker = start_worker()
    job = add(slow)
    arrived(job, 0.6)
    tree = worker.tree()
    worker.stop(signal.SIGKILL)
    assert dead(tree)
    origin.put("/slow.mp4", whole)
    origin.misbehave("/slow.mp4", lies[1])
    start_worker()
    assert (finished(job).status, job.attempt) == ("ready", 3)
    assert "starts again from zero" in (worker.data / "worker.log").read_text()
    assert stored(accounts) == [whole] * 2


def test_an_account_that_is_repaired_gets_its_copy_and_the_others_are_left_alone(
    start_worker: StartWorker, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    broken = Path(accounts[1].root)
    broken.write_text("This is not a folder.")
    PlacementPolicy.objects.create(minimum=2)
    start_worker()
    job = add(origin.put("/a.mp4", videos.mp4.read_bytes()), max_attempts=9)
    copy = Path(eventually(lambda: list(Path(accounts[0].root).rglob("*.mp4")))[0])
    before = copy.stat()
    eventually(lambda: VideoQueue.objects.filter(id=job.id, status="uploading", retry_count__gt=0).exists())
    broken.unlink()
    StorageAccount.objects.update(paused_until=None)
    VideoQueue.objects.update(not_before=None)
    assert finished(job).status == "ready"
    after = copy.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns), "the copy was written twice"
    assert (origin.count("/a.mp4"), copies()) == (1, 2)
    assert stored(accounts) == [videos.mp4.read_bytes()] * 2


def task_of(worker: RunningWorker, origin: Origin) -> psutil.Process:
    """The process that downloads."""
    [task] = worker.connected_to(origin)
    return task
