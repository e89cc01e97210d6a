"""Claiming, leases and fencing, on the functions that the workers call."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from queue_app import queue
from queue_app.failures import BadSource, Transient
from queue_app.models import JobEvent, SourceHost, VideoQueue, Worker
from queue_app.queue import Lease, Place
from queue_app.states import Lane
from storage_app.naming import VideoKey
from tests.conftest import Client

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = timedelta(seconds=30)
ARTIFACT = {"attempt": str(uuid.uuid4()), "sha256": "0" * 64, "size": 5, "media": {"duration": 1.0}}


def add(count: int = 1) -> list[VideoQueue]:
    return [queue.enqueue_video(VideoKey(1, n, "p", None), f"https://example.org/{n}.mp4") for n in range(count)]


def claim(worker: str = "w1", lane: Lane = Lane.DOWNLOAD, capacity: int = 2) -> list[Lease]:
    return queue.claim_videos(lane, worker, capacity=capacity, limit=10, lease=LEASE)


def test_a_claim_takes_no_more_than_the_free_slots() -> None:
    add(5)
    assert (len(claim(capacity=3)), len(claim(capacity=3)), len(claim("w2", capacity=1))) == (3, 0, 1)


def test_the_oldest_goes_first_and_priority_goes_before() -> None:
    jobs = add(3)
    VideoQueue.objects.filter(id=jobs[2].id).update(priority=1)
    assert [lease.job_id for lease in claim(capacity=2)] == [jobs[2].id, jobs[0].id]


def test_a_job_that_waits_is_not_claimed_before_its_time() -> None:
    add(1)
    VideoQueue.objects.update(not_before=Now() + timedelta(minutes=1))
    assert claim() == []


def test_many_claimers_never_get_the_same_job(connect: Callable[[], Client]) -> None:
    add(40)
    clients = [connect() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        rows = pool.map(lambda c: c.execute("SELECT id FROM claim_pending_videos(10)").fetchall(), clients)
    ids = [row["id"] for batch in rows for row in batch]
    assert len(ids) == len(set(ids)) == 40


def test_the_contract_claim_takes_the_oldest_and_sets_downloading(client_connection: Client) -> None:
    jobs = add(3)
    rows = client_connection.execute("SELECT * FROM claim_pending_videos(p_limit => 2)").fetchall()
    assert [row["id"] for row in rows] == [jobs[0].id, jobs[1].id]
    assert {row["status"] for row in rows} == {"downloading"}


def test_a_heartbeat_renews_the_lease_and_keeps_the_progress() -> None:
    add()
    [lease] = claim()
    assert queue.heartbeat_video(lease, timedelta(hours=1), "download", 10, 100, 5)
    job = VideoQueue.objects.get()
    assert (job.bytes_done, job.bytes_total, job.speed, job.percent) == (10, 100, 5, 10)


@pytest.mark.parametrize(
    "write",
    [
        lambda lease: queue.heartbeat_video(lease, LEASE, "download", 1, 2, 3),
        lambda lease: queue.finish_download(lease, ARTIFACT),
        lambda lease: queue.fail_video(lease, Transient("cut")),
        lambda lease: queue.record_replica(lease, 1, Place("r", "p"), ARTIFACT),
        lambda lease: queue.publish_video(
            lease, uuid.uuid4(), file_key="k", account=1, repo="r", direct_url="d", stream_url="s"
        ),
    ],
)
def test_a_worker_whose_lease_was_taken_changes_nothing(write: Callable[[Lease], object]) -> None:
    add()
    [stale] = claim("w1")
    queue.reset_videos([stale.job_id], actor="op", reason="taken")
    claim("w2")
    before = VideoQueue.objects.values().get()
    assert not write(stale)
    assert VideoQueue.objects.values().get() == before


def test_an_expired_lease_is_taken_back_and_the_attempt_stays_counted() -> None:
    add()
    claim()
    VideoQueue.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert queue.release_expired_leases(timedelta(minutes=1)) == 1
    job = VideoQueue.objects.get()
    assert (job.status, job.attempt, job.retry_count, job.lease_token) == ("pending", 1, 1, None)


def test_a_live_lease_is_not_taken_back() -> None:
    add()
    claim()
    assert queue.release_expired_leases(timedelta(minutes=1)) == 0


def test_a_job_that_kills_its_worker_fails_at_last() -> None:
    add()
    for _ in range(5):
        claim()
        VideoQueue.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        queue.release_expired_leases(timedelta(minutes=1))
    job = VideoQueue.objects.get()
    assert (job.status, job.attempt) == ("failed", 5)
    assert job.error_message


def test_a_shutdown_gives_the_attempt_back() -> None:
    add()
    claim()
    queue.release_worker_videos("w1", "stopped", charge=False)
    job = VideoQueue.objects.get()
    assert (job.status, job.attempt, job.retry_count) == ("pending", 0, 0)


def test_an_upload_belongs_to_the_host_that_downloaded() -> None:
    add()
    [lease] = claim("w1")
    assert queue.finish_download(lease, ARTIFACT)
    assert claim("w2", Lane.UPLOAD) == []
    [upload] = claim("w1", Lane.UPLOAD)
    assert upload.job_id == lease.job_id
    assert upload.token != lease.token


def test_a_downloaded_file_of_a_silent_worker_is_downloaded_elsewhere() -> None:
    add()
    Worker.objects.create(id="w1", host="h", pid=1, version="0", capacity=1)
    [lease] = claim("w1")
    queue.finish_download(lease, ARTIFACT)
    assert queue.release_expired_leases(timedelta(minutes=1)) == 0
    Worker.objects.update(last_heartbeat=F("last_heartbeat") - timedelta(hours=1))
    VideoQueue.objects.update(updated_at=F("updated_at") - timedelta(hours=1))
    assert queue.release_expired_leases(timedelta(minutes=1)) == 1
    assert VideoQueue.objects.get().status == "pending"


def test_a_transient_failure_waits_and_a_permanent_one_ends() -> None:
    add(2)
    first, second = claim()
    assert queue.fail_video(first, Transient("cut off")) == "pending"
    assert queue.fail_video(second, BadSource("a web page")) == "failed"
    waiting = VideoQueue.objects.get(id=first.job_id)
    assert waiting.not_before is not None
    assert (waiting.error_message, waiting.failure_class) == ("cut off", "transient")


def test_a_failed_upload_keeps_its_downloaded_file() -> None:
    add()
    [lease] = claim()
    queue.finish_download(lease, ARTIFACT)
    [upload] = claim(lane=Lane.UPLOAD)
    assert queue.fail_video(upload, Transient("disk away")) == "uploading"
    assert VideoQueue.objects.get().artifact == ARTIFACT


def test_reset_takes_a_running_job_from_its_worker_and_requeue_only_a_failed_one() -> None:
    add()
    [lease] = claim()
    assert queue.reset_videos([lease.job_id], actor="ann", reason="requeue", only="failed") == []
    assert queue.reset_videos([lease.job_id], actor="ann", reason="reset") == [lease.job_id]
    assert VideoQueue.objects.get().attempt == 0


def test_every_change_of_state_is_in_the_history() -> None:
    add()
    [lease] = claim()
    queue.fail_video(lease, BadSource("a web page"))
    queue.reset_videos([lease.job_id], actor="ann", reason="Requeued")
    events = JobEvent.objects.values_list("actor", "from_status", "to_status", "failure_class", "reason")
    assert list(events)[1:] == [
        ("w1", "pending", "downloading", "", ""),
        ("w1", "downloading", "failed", "bad_source", "a web page"),
        ("ann", "failed", "pending", "", "Requeued"),
    ]


def test_a_change_of_the_queue_wakes_the_lane_that_has_something_to_do(connect: Callable[[], Client]) -> None:
    listener = connect()
    listener.execute("LISTEN video_queue_download")
    listener.execute("LISTEN video_queue_upload")
    add()
    assert [notice.channel for notice in listener.notifies(timeout=5, stop_after=1)] == ["video_queue_download"]
    [lease] = claim()
    queue.finish_download(lease, {"size": 1})
    assert [notice.channel for notice in listener.notifies(timeout=5, stop_after=1)] == ["video_queue_upload"]


def test_a_free_slot_at_a_host_with_a_limit_wakes_the_other_workers(connect: Callable[[], Client]) -> None:
    [job] = add()
    SourceHost.objects.create(host=job.source_host, max_concurrent=1)
    [lease] = claim()
    listener = connect()
    listener.execute("LISTEN video_queue_download")
    queue.finish_download(lease, {"size": 1})
    assert [notice.channel for notice in listener.notifies(timeout=5, stop_after=1)] == ["video_queue_download"]


def test_one_claimed_job_comes_whole() -> None:
    [job] = add()
    claimed = queue.claim_video(Lane.DOWNLOAD, "w1", capacity=1, lease=LEASE)
    assert claimed is not None
    assert (claimed.id, claimed.status, claimed.video_url) == (job.id, "downloading", job.video_url)
    assert queue.claim_video(Lane.DOWNLOAD, "w1", capacity=1, lease=LEASE) is None
