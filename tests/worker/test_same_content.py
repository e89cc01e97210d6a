"""The same bytes from two sources are stored once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from queue_app import queue
from queue_app.models import JobEvent, VideoQueue
from queue_app.states import Lane
from storage_app.models import StorageAccount, StoredFile, VideoStore
from tests.playing import play
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.worker.conftest import StartWorker, add, finished
from tests.worker.test_archiving import files_below

LEASE = timedelta(seconds=30)


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one after the other"])
def test_the_same_content_is_stored_once_for_all_who_have_it(
    at_once: bool, start_worker: StartWorker, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    start_worker(MAX_CONCURRENT="3")
    content, jobs = videos.mp4.read_bytes(), []
    for episode in (1, 2, 3):
        jobs.append(add(origin.put(f"/{episode}.mp4", content), episode))
        if not at_once:
            finished(jobs[-1])
    assert [(finished(job).status, job.retry_count) for job in jobs] == [("ready", 0)] * 3
    video = StoredFile.objects.get(content_type="video/mp4")
    assert video.replicas.count() == 2
    for account in accounts:
        assert sorted(path.suffix for path in files_below(Path(account.root))) == [".json"] * 3 + [".mp4"]
    assert {row.stored_file_id for row in VideoStore.objects.all()} == {video.id}
    for episode in (1, 2, 3):
        assert play(f"/stream/55825/{episode}/test/720p").body == content


def test_a_video_archived_anew_leaves_those_who_share_its_former_content(
    start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    start_worker()
    for episode in (1, 2):
        job = finished(add(origin.put(f"/{episode}.mp4", videos.mp4.read_bytes()), episode))
    first = VideoQueue.objects.exclude(id=job.id).get()
    assert len({row.hf_path for row in VideoStore.objects.all()}) == 1
    VideoQueue.objects.filter(id=first.id).update(video_url=origin.put("/new.mkv", videos.mkv.read_bytes()))
    queue.reset_videos([first.id], actor="test", reason="anew")
    assert finished(first).status == "ready"
    assert StoredFile.objects.filter(content_type="video/mp4").count() == 2
    assert play("/stream/55825/2/test/720p").body == videos.mp4.read_bytes()


def test_one_that_waits_for_its_twin_burns_no_attempt(transactional_db: None, accounts: list[StorageAccount]) -> None:
    sha256 = "a" * 64
    leases = []
    for episode in (1, 2):
        add("https://example.org/a.mp4", episode)
        [lease] = queue.claim_videos(Lane.DOWNLOAD, "w", capacity=9, limit=1, lease=LEASE)
        queue.finish_download(lease, {"attempt": str(lease.token), "size": 1, "sha256": sha256})
        leases += queue.claim_videos(Lane.UPLOAD, "w", capacity=9, limit=1, lease=LEASE)
    places = [queue.Place("r", f"{n}.mp4") for n in (1, 2)]
    assert queue.settle_content(leases[0], places[0], sha256) == places[0]
    assert queue.settle_content(leases[1], places[1], sha256) is None
    waiting = VideoQueue.objects.get(episode=2)
    assert (waiting.status, waiting.lease_token, waiting.retry_count) == ("uploading", None, 0)
    assert waiting.not_before is not None
    queue.cancel_videos([leases[0].job_id], actor="op", reason="stop")
    VideoQueue.objects.update(not_before=None)
    [again] = queue.claim_videos(Lane.UPLOAD, "w", capacity=9, limit=1, lease=LEASE)
    assert queue.settle_content(again, places[1], sha256) == places[1]
    assert not JobEvent.objects.filter(failure_class__gt="").exists()


def uploading(episode: int, sha256: str) -> queue.Lease:
    """A job whose download has brought this content, claimed for its upload."""
    add("https://example.org/a.mp4", episode)
    [lease] = queue.claim_videos(Lane.DOWNLOAD, "w", capacity=9, limit=1, lease=LEASE)
    queue.finish_download(lease, {"attempt": str(lease.token), "size": 1, "sha256": sha256})
    [upload] = queue.claim_videos(Lane.UPLOAD, "w", capacity=9, limit=1, lease=LEASE)
    return upload


def published(lease: queue.Lease, place: queue.Place, sha256: str) -> None:
    for account in (1, 2):
        stored = queue.record_replica(lease, account, place, {"sha256": sha256, "size": 1})
    assert stored is not None
    assert queue.publish_video(lease, stored, file_key="k", account=1, repo="r", direct_url="", stream_url="")


def test_nobody_is_led_to_a_content_that_is_about_to_be_replaced(
    transactional_db: None, accounts: list[StorageAccount]
) -> None:
    old, new, place = "a" * 64, "b" * 64, queue.Place("r", "1.mp4")
    first = uploading(1, old)
    assert queue.settle_content(first, place, old) == place
    published(first, place, old)
    queue.reset_videos([first.job_id], actor="op", reason="anew")
    [lease] = queue.claim_videos(Lane.DOWNLOAD, "w", capacity=9, limit=1, lease=LEASE)
    queue.finish_download(lease, {"attempt": str(lease.token), "size": 1, "sha256": new})
    [again] = queue.claim_videos(Lane.UPLOAD, "w", capacity=9, limit=1, lease=LEASE)
    assert queue.settle_content(again, place, new) == place
    late = uploading(2, old)
    own = queue.Place("r", "2.mp4")
    assert queue.settle_content(late, own, old) == own


def test_a_content_that_somebody_is_being_led_to_is_not_replaced(
    transactional_db: None, accounts: list[StorageAccount]
) -> None:
    old, new, place = "a" * 64, "b" * 64, queue.Place("r", "1.mp4")
    first = uploading(1, old)
    queue.settle_content(first, place, old)
    published(first, place, old)
    late = uploading(2, old)
    assert queue.settle_content(late, queue.Place("r", "2.mp4"), old) == place
    queue.reset_videos([first.job_id], actor="op", reason="anew")
    [lease] = queue.claim_videos(Lane.DOWNLOAD, "w", capacity=9, limit=1, lease=LEASE)
    queue.finish_download(lease, {"attempt": str(lease.token), "size": 1, "sha256": new})
    [again] = queue.claim_videos(Lane.UPLOAD, "w", capacity=9, limit=1, lease=LEASE)
    assert queue.settle_content(again, place, new) == queue.Place("r", "1-bbbbbbbb.mp4")
