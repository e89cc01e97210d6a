"""Who goes next, who rests, and how it is counted."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db.models import Count
from django.db.models.functions import Now
from django_q.models import Schedule

from queue_app import queue, tasks
from queue_app.failures import BadSource, DiskFull, StorageFull, Transient
from queue_app.models import JobEvent, QueueTotal, SourceHost, VideoQueue, Worker
from queue_app.queue import Lease, Place
from queue_app.states import Lane
from storage_app.models import StorageAccount
from storage_app.naming import VideoKey
from tests.conftest import Client

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = timedelta(seconds=30)
PAST = Now() - timedelta(hours=1)
ARTIFACT = {"attempt": str(uuid.uuid4()), "sha256": "0" * 64, "size": 5000, "media": {"duration": 1.0}}


def add(work: int = 1, episode: int = 1, host: str = "example.org") -> VideoQueue:
    return queue.enqueue_video(VideoKey(work, episode, "p", None), f"https://{host}/{episode}.mp4")


def claim(worker: str = "w1", lane: Lane = Lane.DOWNLOAD, capacity: int = 100, limit: int = 100) -> list[Lease]:
    return queue.claim_videos(lane, worker, capacity=capacity, limit=limit, lease=LEASE)


def claimed_works() -> list[int]:
    works = dict(VideoQueue.objects.values_list("id", "mal_id"))
    return [works[lease.job_id] for _ in range(VideoQueue.objects.count()) for lease in claim(limit=1)]


def test_one_works_500_episodes_do_not_starve_the_others() -> None:
    for episode in range(500):
        add(work=1, episode=episode)
    claim(limit=10)
    add(work=2)
    assert 2 in [VideoQueue.objects.get(id=lease.job_id).mal_id for lease in claim(limit=2)]


def test_works_alternate_whoever_came_first() -> None:
    for work in (1, 2):
        for episode in range(3):
            add(work, episode)
    assert claimed_works() == [1, 2, 1, 2, 1, 2]


def test_a_host_rests_after_five_failures_in_a_row_and_others_go_on() -> None:
    for episode in range(6):
        add(episode=episode, host="sick.example:8080")
    for _ in range(5):
        [lease] = claim(limit=1)
        queue.fail_video(lease, Transient("cut off"))
    host = SourceHost.objects.get()
    assert (host.host, host.failures) == ("sick.example:8080", 5)
    assert host.paused_until is not None
    well = add(work=2)
    assert [lease.job_id for lease in claim()] == [well.id]


def test_a_rested_host_is_tried_by_one_download_and_is_well_after_it() -> None:
    for episode in range(3):
        add(episode=episode)
    SourceHost.objects.create(host="example.org", failures=5, paused_until=PAST)
    [probe] = claim()
    queue.finish_download(probe, ARTIFACT)
    assert SourceHost.objects.get().failures == 0
    assert len(claim()) == 2


@pytest.mark.parametrize("failure", [BadSource("a page"), DiskFull("full")])
def test_what_is_not_the_hosts_fault_does_not_count_against_it(failure: BadSource | DiskFull) -> None:
    add()
    [lease] = claim()
    queue.fail_video(lease, failure)
    assert not SourceHost.objects.exists()


def test_a_limit_of_a_host_holds_over_all_workers(connect: Callable[[], Client]) -> None:
    SourceHost.objects.create(host="example.org", max_concurrent=3)
    for episode in range(20):
        add(episode=episode)
    clients = [connect() for _ in range(8)]

    def take(client: Client) -> int:
        statement = "SELECT id FROM claim_videos('download', %s, 5, 5, interval '1 minute')"
        return len(client.execute(statement, [f"w{client.info.backend_pid}"]).fetchall())

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, clients)) == 3


def test_a_full_account_rests_and_the_upload_waits_with_its_attempt(accounts: list[StorageAccount]) -> None:
    add()
    [download] = claim()
    queue.finish_download(download, ARTIFACT)
    [upload] = claim(lane=Lane.UPLOAD)
    assert queue.fail_video(upload, StorageFull("no room"), account=2) == "uploading"
    job, account = VideoQueue.objects.get(), StorageAccount.objects.get(index=2)
    assert (job.attempt, job.retry_count, job.not_before) == (1, 1, account.paused_until)
    assert account.pause_reason == "no room"
    assert claim(lane=Lane.UPLOAD) == []


def test_an_account_that_takes_a_copy_again_is_well(accounts: list[StorageAccount]) -> None:
    StorageAccount.objects.filter(index=2).update(pause_count=3, paused_until=PAST, pause_reason="no room")
    add()
    [download] = claim()
    queue.finish_download(download, ARTIFACT)
    [upload] = claim(lane=Lane.UPLOAD)
    queue.record_replica(upload, 2, Place("r", "p"), ARTIFACT)
    account = StorageAccount.objects.get(index=2)
    assert (account.pause_count, account.paused_until, account.pause_reason) == (0, None, "")


def test_a_full_disk_pauses_the_host_and_another_takes_the_job_at_once() -> None:
    for name in ("w1", "w2"):
        Worker.objects.create(id=name, host="h", pid=1, version="0", capacity=1)
    add()
    [lease] = claim("w1")
    assert queue.fail_video(lease, DiskFull("full")) == "pending"
    assert VideoQueue.objects.get().attempt == 0
    assert (claim("w1"), len(claim("w2"))) == ([], 1)


def test_a_draining_worker_uploads_what_it_has_and_takes_no_more() -> None:
    Worker.objects.create(id="w1", host="h", pid=1, version="0", capacity=1)
    add(episode=1)
    [lease] = claim("w1")
    queue.finish_download(lease, ARTIFACT)
    add(episode=2)
    Worker.objects.update(draining=True)
    assert (len(claim("w1")), len(claim("w1", Lane.UPLOAD))) == (0, 1)


def test_a_cancelled_job_loses_its_worker_and_an_ended_one_stays() -> None:
    running, ended = add(episode=1), add(episode=2)
    [lease] = claim(limit=1)
    VideoQueue.objects.filter(id=ended.id).update(status="ready")
    assert queue.cancel_videos([running.id, ended.id], actor="ann", reason="not ours") == [running.id]
    assert not queue.heartbeat_video(lease, LEASE, "download", 1, 2, 3)
    event = JobEvent.objects.filter(job=running).latest("id")
    assert (event.actor, event.to_status, event.reason) == ("ann", "cancelled", "not ours")


def test_a_cancelled_job_can_be_enqueued_again() -> None:
    job = add()
    queue.cancel_videos([job.id], actor="ann", reason="")
    assert add().status == "pending"


def test_the_history_tells_what_an_attempt_moved_and_how_long_it_took() -> None:
    add()
    [lease] = claim()
    VideoQueue.objects.update(claimed_at=Now() - timedelta(seconds=10))
    queue.finish_download(lease, ARTIFACT)
    event = JobEvent.objects.latest("id")
    assert event.bytes_done == 5000
    assert event.seconds == pytest.approx(10, abs=1)
    assert event.speed == pytest.approx(500, abs=50)


def true_counts() -> dict[str, int]:
    found = dict(VideoQueue.objects.order_by().values_list("status").annotate(Count("id")))
    names = ("pending", "downloading", "uploading", "ready", "failed", "cancelled")
    return {name: found.get(name, 0) for name in names} | {"archived": 0}


def test_the_counts_are_true_after_a_storm_of_concurrent_changes(connect: Callable[[], Client]) -> None:
    for episode in range(60):
        add(episode=episode)
    statuses = ["pending", "downloading", "uploading", "ready", "failed", "cancelled"]

    def storm(client: Client) -> None:
        dice = random.Random(client.info.backend_pid)
        for _ in range(150):
            sample = (dice.choice(statuses), dice.randrange(60))
            client.execute("UPDATE video_queue SET status = %s WHERE episode = %s", sample)
            if dice.random() < 0.1:
                client.execute("SELECT fold_queue_totals()")
            if dice.random() < 0.05:
                client.execute("DELETE FROM video_queue WHERE episode = %s", [dice.randrange(60)])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(storm, [connect() for _ in range(6)]))
    assert queue.get_queue_counts() == true_counts()
    tasks.fold_totals()
    assert queue.get_queue_counts() == true_counts()
    assert QueueTotal.objects.count() <= 3


def test_archived_videos_are_counted_too(client_connection: Client) -> None:
    for episode in range(3):
        client_connection.execute("SELECT upsert_video_store(1, %s, 'a', NULL, 'k', 1, 'r', 'p', 'd', 's')", [episode])
    client_connection.execute("DELETE FROM video_store WHERE episode = 0")
    assert queue.get_queue_counts()["archived"] == 2


def test_old_history_goes_in_batches_and_what_is_young_stays() -> None:
    for episode in range(4):
        add(episode=episode)
    VideoQueue.objects.filter(episode__lt=2).update(status="ready")
    VideoQueue.objects.filter(episode__lt=3).update(updated_at=PAST)
    JobEvent.objects.filter(job__episode=3).update(at=PAST)
    hour = timedelta(minutes=30)
    assert [queue.purge_history(hour, hour, 1) for _ in range(4)] == [2, 1, 0, 0]
    assert set(VideoQueue.objects.values_list("episode", flat=True)) == {2, 3}


def test_the_chores_are_scheduled_and_each_can_be_run() -> None:
    from queue_app.schedules import SCHEDULES, ensure_schedules

    ensure_schedules("default")
    Schedule.objects.update(minutes=7)
    ensure_schedules("default")
    assert set(Schedule.objects.values_list("name", "minutes")) == {(name, 7) for name, *_ in SCHEDULES}
    Worker.objects.create(id="old", host="h", pid=1, version="0", capacity=1, last_heartbeat=Now() - timedelta(days=40))
    assert (tasks.purge(), tasks.forget_workers()) == (0, 1)
