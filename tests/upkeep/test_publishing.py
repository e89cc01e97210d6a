"""Jobs that failed although all is stored are published; never what an operator didn't want."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from queue_app import queue
from queue_app import tasks as chores
from queue_app.models import JobEvent, VideoQueue
from storage_app.models import (
    PlacementPolicy,
    Replica,
    StorageAccount,
    StorageEvent,
    StoredFile,
    Tombstone,
    UpkeepMark,
    VideoStore,
)
from storage_app.naming import VideoKey
from tests.environment import HF_FILE_SALT
from tests.upkeep.conftest import tasks

pytestmark = pytest.mark.django_db(transaction=True)

KEY = VideoKey(55825, 1, "animasu", "720p")


def enqueue(key: VideoKey = KEY) -> VideoQueue:
    queue.enqueue_video(key, "https://example.com/v.mp4")
    return VideoQueue.objects.get(mal_id=key.mal_id, episode=key.episode)


def store(accounts: list[StorageAccount], key: VideoKey = KEY) -> StoredFile:
    """The video's proven content, confirmed by these accounts; no bytes."""
    file = StoredFile.objects.create(
        repo=key.repo("weaboo"), path=key.path(HF_FILE_SALT), sha256="a" * 64, size=5, duration=1,
        proof={"level": "full"},
    )  # fmt: skip
    for account in accounts:
        Replica.objects.create(stored_file=file, account=account)
    return file


def turn(job: VideoQueue, *statuses: str) -> VideoQueue:
    for status in statuses:
        VideoQueue.objects.filter(pk=job.pk).update(status=status)
    job.refresh_from_db()
    return job


@pytest.fixture
def failed(accounts: list[StorageAccount]) -> VideoQueue:
    """A job whose upload failed after one of two accounts had confirmed its copy."""
    job = turn(enqueue(), "downloading", "uploading")
    store(accounts[1:])
    return turn(job, "failed")


def test_a_job_that_failed_before_it_was_published_is_published_from_its_copies(
    accounts: list[StorageAccount],
) -> None:
    job = enqueue()
    file = store([])
    turn(job, "failed")
    assert chores.move_on() == 0, "nothing is confirmed yet"
    Replica.objects.create(stored_file=file, account=accounts[1])
    assert chores.move_on() == 1
    job.refresh_from_db()
    video = VideoStore.objects.get()
    assert (job.status, video.stored_file, video.hf_account, video.hf_repo) == (
        "ready", file, 2, "local2/weaboo-55825",
    )  # fmt: skip
    assert (JobEvent.objects.filter(job=job).latest("id").actor, set(tasks())) == (
        "reconciler", {"replicate", "manifest"},
    )  # fmt: skip
    assert chores.move_on() == 0


def test_a_failed_job_whose_video_is_archived_stays_failed(failed: VideoQueue) -> None:
    VideoStore.objects.create(
        mal_id=KEY.mal_id, episode=KEY.episode, provider=KEY.provider, resolution=KEY.resolution, file_key="k",
        hf_account=1, hf_repo="r", hf_path="p", hf_direct_url="", stream_url="",
    )  # fmt: skip
    assert chores.move_on() == 0


@pytest.mark.parametrize("before", ["failed", "cancelled", "ready"])
def test_what_somebody_has_asked_for_anew_since_is_not_published(before: str, failed: VideoQueue) -> None:
    turn(failed, before, "pending", "downloading", "failed")
    assert chores.move_on() == 0
    assert turn(failed).status == "failed"


def test_what_was_reset_in_the_middle_of_its_upload_is_not_published(failed: VideoQueue) -> None:
    turn(failed, "uploading")
    queue.reset_videos([failed.pk], actor="ann", reason="It is the wrong episode.")
    turn(failed, "failed")
    assert chores.move_on() == 0


def test_what_a_worker_downloaded_once_more_is_published(failed: VideoQueue) -> None:
    VideoQueue.objects.update(attempt=1)
    turn(failed, "uploading", "pending", "downloading", "failed")
    assert chores.move_on() == 1


@pytest.mark.parametrize(("minutes", "published"), [(-5, 1), (5, 0)])
def test_what_was_deleted_since_is_not_published(minutes: int, published: int, failed: VideoQueue) -> None:
    at = StoredFile.objects.get().created_at + timedelta(minutes=minutes)
    Tombstone.objects.create(
        mal_id=KEY.mal_id, episode=KEY.episode, provider=KEY.provider, resolution=KEY.resolution, file_key="k",
        deleted_at=at,
    )  # fmt: skip
    assert chores.move_on() == published


def test_what_is_older_than_its_job_is_not_published(accounts: list[StorageAccount]) -> None:
    store(accounts)
    turn(enqueue(), "failed")
    assert chores.move_on() == 0


def test_one_file_that_can_not_be_placed_does_not_keep_back_the_others(
    failed: VideoQueue, accounts: list[StorageAccount]
) -> None:
    nowhere = VideoKey(7, 1, "animasu", None)
    stuck = enqueue(nowhere)
    store(accounts[1:], nowhere)
    turn(stuck, "failed")
    policy = PlacementPolicy.objects.create(mal_id=7)
    policy.accounts.set([1])
    StorageAccount.objects.filter(index=1).update(enabled=False)
    assert chores.move_on() == 1
    assert (turn(failed).status, turn(stuck).status) == ("ready", "failed")


def test_only_copies_on_accounts_of_the_placement_count(failed: VideoQueue) -> None:
    policy = PlacementPolicy.objects.create(mal_id=KEY.mal_id)
    policy.accounts.set([1])
    assert chores.move_on() == 0
    policy.accounts.set([1, 2])
    UpkeepMark.objects.all().delete()
    assert chores.move_on() == 1


def test_rounds_look_at_what_failed_since_and_once_a_day_at_all(failed: VideoQueue) -> None:
    StoredFile.objects.update(proof=None)
    VideoQueue.objects.update(updated_at=now() - timedelta(hours=3))
    assert chores.move_on() == 0
    StoredFile.objects.update(proof={"level": "full"})
    assert chores.move_on() == 0, "it failed before the last round"
    mark = UpkeepMark.objects.get(name="publish_stored")
    mark.value = {"all": (now() - timedelta(days=2)).isoformat()}
    mark.save()
    assert chores.move_on() == 1
    assert StorageEvent.objects.filter(kind="published").count() == 1
