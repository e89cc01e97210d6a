"""Whatever is killed, the job finishes by itself, and nothing is left behind."""

from __future__ import annotations

import signal
import time
from uuid import UUID

import psutil
import pytest

from queue_app import queue
from queue_app.models import JobEvent, VideoQueue, Worker
from storage_app.models import Replica, VideoStore
from tests.conftest import Client
from tests.servers.origin import Origin, Slow, Stall
from tests.servers.videos import Videos
from tests.worker.conftest import StartWorker, add, eventually, finished, in_status


@pytest.fixture
def slow_url(origin: Origin, videos: Videos) -> str:
    """An MP4 that takes some eight seconds."""
    url = origin.put("/slow.mp4", videos.mp4.read_bytes())
    origin.misbehave("/slow.mp4", Slow(bytes_per_second=videos.mp4.stat().st_size // 8))
    return url


def downloading(job: VideoQueue) -> None:
    """Wait until some of the job's bytes have arrived."""

    def look() -> bool:
        job.refresh_from_db()
        return job.status == "downloading" and job.bytes_done > 0

    eventually(look)


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_a_job_survives_the_death_of_its_worker(
    start_worker: StartWorker, origin: Origin, slow_url: str, videos: Videos
) -> None:
    worker = start_worker()
    job = add(slow_url)
    downloading(job)
    tree = worker.tree()
    worker.stop(signal.SIGKILL)
    assert gone(tree, 5), "a process outlived the worker"
    origin.misbehave("/slow.mp4")
    again = start_worker()
    assert (finished(job).status, job.attempt) == ("ready", 2)
    copies = Replica.objects.filter(stored_file__content_type="video/mp4").count()
    assert (VideoStore.objects.count(), copies) == (1, 2)
    eventually(lambda: not again.scratch_files())


def test_a_job_survives_the_death_of_its_task(start_worker: StartWorker, origin: Origin, slow_url: str) -> None:
    worker = start_worker(MAX_CONCURRENT="1")
    job = add(slow_url)
    downloading(job)
    origin.misbehave("/slow.mp4")
    [task] = worker.connected_to(origin)
    task.kill()
    assert finished(job).status == "ready"
    assert worker.process.poll() is None


def test_a_lane_that_dies_is_started_again(start_worker: StartWorker, origin: Origin, videos: Videos) -> None:
    worker = start_worker()
    lanes = eventually(lambda: psutil.Process(worker.process.pid).children())
    for lane in lanes:
        lane.kill()
    job = add(origin.put("/a.mp4", videos.mp4.read_bytes()))
    assert finished(job).status == "ready"


def test_a_running_job_may_finish_before_the_worker_stops(
    start_worker: StartWorker, origin: Origin, slow_url: str
) -> None:
    worker = start_worker(SHUTDOWN_GRACE="60")
    job = add(slow_url)
    downloading(job)
    assert worker.stop(signal.SIGTERM) == 0
    job.refresh_from_db()
    assert job.status in {"uploading", "ready"}
    start_worker()
    assert finished(job).status == "ready"
    assert origin.count("/slow.mp4") == 1, "the download was done twice"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_what_cannot_finish_in_time_goes_back_with_its_attempt(
    start_worker: StartWorker, slow_url: str, signum: signal.Signals
) -> None:
    worker = start_worker(SHUTDOWN_GRACE="1")
    job = add(slow_url)
    downloading(job)
    tree = worker.tree()
    assert worker.stop(signum) == 0
    assert gone(tree, 5)
    job.refresh_from_db()
    assert (job.status, job.attempt, job.retry_count, job.lease_token) == ("pending", 0, 0, None)
    assert {path.name for path in worker.scratch_files()} >= {"direct.part", "direct.resume.json"}
    assert Worker.objects.get().stopped_at is not None


def test_a_second_signal_ends_the_grace(start_worker: StartWorker, slow_url: str) -> None:
    worker = start_worker(SHUTDOWN_GRACE="120")
    job = add(slow_url)
    downloading(job)
    worker.process.send_signal(signal.SIGTERM)
    eventually(lambda: b"Stopping" in (worker.data / "worker.log").read_bytes())
    started = time.monotonic()
    assert worker.stop(signal.SIGTERM) == 1
    assert time.monotonic() - started < 6
    assert in_status(job, "pending").attempt == 0


def test_no_more_videos_at_once_than_allowed(start_worker: StartWorker, origin: Origin, videos: Videos) -> None:
    url = origin.put("/a.mp4", videos.mp4.read_bytes())
    start_worker(MAX_CONCURRENT="1")
    jobs = [add(url, episode=episode) for episode in range(4)]
    for job in jobs:
        assert finished(job).status == "ready"
    running: set[UUID] = set()
    most = 0
    for event in JobEvent.objects.order_by("id"):
        (running.add if event.to_status == "downloading" else running.discard)(event.job_id)
        most = max(most, len(running))
    assert most == 1


def test_a_reset_job_starts_again_and_its_first_run_writes_nothing(
    start_worker: StartWorker, origin: Origin, slow_url: str
) -> None:
    start_worker()
    job = add(slow_url)
    downloading(job)
    origin.misbehave("/slow.mp4")
    queue.reset_videos([job.id], actor="ann", reason="reset")
    assert finished(job).status == "ready"
    assert list(JobEvent.objects.filter(job=job).values_list("to_status", flat=True)) == [
        "pending", "downloading", "pending", "downloading", "uploading", "ready",
    ]  # fmt: skip


def test_a_cancelled_download_stops_within_five_seconds_even_while_nothing_arrives(
    start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    url = origin.put("/stalled.mp4", videos.mp4.read_bytes())
    origin.misbehave("/stalled.mp4", Stall(after=20_000))
    worker = start_worker(LEASE_SECONDS="60")
    job = add(url)
    downloading(job)
    queue.cancel_videos([job.id], actor="ann", reason="not ours")
    eventually(lambda: not worker.scratch_files(), seconds=5)
    eventually(lambda: not worker.connected_to(origin), seconds=5)
    assert in_status(job, "cancelled").lease_token is None


def test_a_lane_goes_on_at_once_after_its_sessions_were_ended(
    start_worker: StartWorker, origin: Origin, videos: Videos, client_connection: Client
) -> None:
    worker = start_worker()
    url = origin.put("/a.mp4", videos.mp4.read_bytes())
    assert finished(add(url, episode=1)).status == "ready"
    client_connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query ~ '^(LISTEN|SELECT id, lease_token FROM claim_videos)'"
    )
    assert finished(add(url, episode=2)).status == "ready"
    assert b"Failed to pull task" not in (worker.data / "worker.log").read_bytes(), "a pusher died of it"


def test_two_workers_of_one_name_are_refused(start_worker: StartWorker) -> None:
    first = start_worker(WORKER_ID="ann")
    eventually(Worker.objects.exists)
    second = start_worker(WORKER_ID="ann")
    assert second.process.wait(30) == 1
    assert b"already runs" in (first.data / "worker.log").read_bytes()


def test_two_workers_share_one_data_folder_under_two_names(
    start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    start_worker()
    start_worker()
    eventually(lambda: Worker.objects.count() == 2)
    url = origin.put("/a.mp4", videos.mp4.read_bytes())
    jobs = [add(url, episode=episode) for episode in range(6)]
    assert [finished(job).status for job in jobs] == ["ready"] * 6
