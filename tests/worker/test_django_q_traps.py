"""The traps of django-q2 that docs/job-lifecycle.md tells of, each sprung on real processes."""

from __future__ import annotations

import signal
from contextlib import suppress

import psutil
import pytest

from queue_app.models import JobEvent, VideoQueue
from queue_app.states import Lane
from storage_app.models import Replica, StoredFile, VideoStore
from tests.servers.origin import Origin, Slow
from tests.servers.videos import Videos
from tests.worker.conftest import RunningWorker, StartWorker, add, eventually, finished

WHOLE_WAY = ["pending", "downloading", "uploading", "ready"]
LEASE_SECONDS = 5  # as tests/worker/conftest.py sets it


@pytest.fixture
def url(origin: Origin, videos: Videos) -> str:
    return origin.put("/a.mp4", videos.mp4.read_bytes())


def test_a_task_that_outlives_its_lease_runs_once(
    start_worker: StartWorker, origin: Origin, videos: Videos, url: str
) -> None:
    origin.misbehave("/a.mp4", Slow(bytes_per_second=videos.mp4.stat().st_size // (2 * LEASE_SECONDS + 1)))
    start_worker()
    job = finished(add(url))
    assert (statuses(job), job.attempt, origin.count("/a.mp4")) == (WHOLE_WAY, 1, 1)


def test_a_task_is_claimed_only_when_a_process_is_free_for_it(
    start_worker: StartWorker, origin: Origin, videos: Videos, url: str
) -> None:
    origin.misbehave("/a.mp4", Slow(bytes_per_second=videos.mp4.stat().st_size // 2))
    start_worker(MAX_CONCURRENT="1")
    jobs = [add(url, episode=episode) for episode in range(3)]
    for job in jobs:
        finished(job)
    moves = JobEvent.objects.order_by("id").values_list("to_status", flat=True)
    downloads = [status for status in moves if status in {"downloading", "uploading"}]
    assert downloads == ["downloading", "uploading"] * 3


def test_a_task_that_always_kills_its_process_fails_at_last(
    start_worker: StartWorker, origin: Origin, videos: Videos, url: str
) -> None:
    origin.misbehave("/a.mp4", Slow(bytes_per_second=videos.mp4.stat().st_size // 60))
    worker = start_worker()
    job = add(url, max_attempts=2)

    def kill_until_it_failed() -> bool:
        for process in worker.connected_to(origin):
            process.kill()
        job.refresh_from_db()
        return job.status == "failed"

    eventually(kill_until_it_failed)
    assert (job.attempt, job.retry_count, origin.count("/a.mp4"), job.lease_token) == (2, 2, 2, None)
    assert job.error_message


def test_a_deaf_pool_is_noticed_and_replaced(start_worker: StartWorker, origin: Origin, url: str) -> None:
    worker = start_worker(LEASE_SECONDS="60")
    assert finished(add(url, episode=0)).status == "ready"
    [sentinel] = lane_of(worker, Lane.DOWNLOAD).children()
    helpers = helpers_of(sentinel)
    for episode in range(1, 6):
        # One of the idle processes waits for the next task, and the lock of the queue that it holds dies with it.
        for process in set(sentinel.children()) - helpers:
            process.kill()
        job = finished(add(url, episode=episode))
        assert (job.status, job.attempt, job.retry_count) == ("ready", 1, 0)
        if b"doesn't start them" in log_of(worker):
            return
    raise AssertionError("the pool never went deaf:\n" + log_of(worker).decode())


def test_a_deaf_pool_that_is_told_to_stop_is_replaced(start_worker: StartWorker, origin: Origin, url: str) -> None:
    worker = start_worker(SHUTDOWN_GRACE="1")
    assert finished(add(url, episode=0)).status == "ready"
    lane = lane_of(worker, Lane.DOWNLOAD)
    [sentinel] = lane.children()
    before = set(sentinel.children())
    helpers = helpers_of(sentinel)
    for process in before - helpers:
        process.kill()
    eventually(lambda: len(set(sentinel.children()) - before) == len(before - helpers))
    lane.terminate()
    assert finished(add(url, episode=1)).status == "ready"
    assert lane_of(worker, Lane.DOWNLOAD) != lane


def test_a_lane_suspended_past_its_lease_writes_nothing_when_it_wakes(
    start_worker: StartWorker, origin: Origin, videos: Videos, url: str
) -> None:
    origin.misbehave("/a.mp4", Slow(bytes_per_second=videos.mp4.stat().st_size // 30))
    sleeper = start_worker("sleeper")
    job = add(url)
    eventually(lambda: VideoQueue.objects.filter(bytes_done__gt=0).exists())
    lane = tree_of(lane_of(sleeper, Lane.DOWNLOAD))
    send(lane, signal.SIGSTOP)
    origin.misbehave("/a.mp4")
    start_worker("awake")
    assert finished(job).status == "ready"
    before = everything()
    send(lane, signal.SIGCONT)
    eventually(lambda: b"was taken from this worker" in log_of(sleeper))
    eventually(lambda: not sleeper.scratch_files())
    assert everything() == before
    assert statuses(job) == ["pending", "downloading", *WHOLE_WAY]


def statuses(job: VideoQueue) -> list[str]:
    return list(JobEvent.objects.filter(job=job).order_by("id").values_list("to_status", flat=True))


def everything() -> list[object]:
    """All rows that a task may write."""
    return [list(model.objects.values()) for model in (VideoQueue, VideoStore, StoredFile, Replica, JobEvent)]


def log_of(worker: RunningWorker) -> bytes:
    return (worker.data / "worker.log").read_bytes()


def lane_of(worker: RunningWorker, lane: Lane) -> psutil.Process:
    """The main process of a lane's cluster."""
    return next(child for child in psutil.Process(worker.process.pid).children() if child.cmdline()[-1] == lane)


def helpers_of(sentinel: psutil.Process) -> set[psutil.Process]:
    """The monitor and the pusher of a fresh cluster: its sentinel forks them after those that run tasks."""
    return set(sorted(sentinel.children(), key=psutil.Process.create_time)[-2:])


def tree_of(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def send(processes: list[psutil.Process], signum: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
