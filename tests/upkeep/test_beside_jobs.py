"""What the upkeep leaves alone while jobs are storing something."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.utils.timezone import now

from queue_app import tasks as chores
from storage_app.models import Orphan, StorageAccount, StorageTask, StoredFile, TaskKind, VideoStore
from storage_app.naming import VideoKey
from storage_app.upkeep.sweep import sweep
from storage_app.upkeep.tasks import ask_for
from tests.archive import archive, copy_of
from tests.upkeep.conftest import copies, due, events, file_of, videos

pytestmark = pytest.mark.django_db(transaction=True)


def uploading(work: int, episode: int, place: tuple[str, str] | None = None, *, in_work: bool = True) -> None:
    """A job in its upload, with the place that it was told to use; in work, or waiting."""
    artifact = {"sha256": "a" * 64} | ({"place": list(place)} if place else {})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO video_queue (mal_id, episode, provider, video_url, status, lease_token, artifact)"
            " VALUES (%s, %s, 'animasu', 'https://example.com/v.mp4', 'uploading', %s, %s)",
            [work, episode, uuid4() if in_work else None, json.dumps(artifact)],
        )


def end_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE video_queue SET status = 'cancelled', lease_token = NULL")
    StorageTask.objects.update(not_before=now())


def is_retired(account: StorageAccount) -> bool:
    return StorageAccount.objects.filter(pk=account.pk, retired_at__isnull=False).exists()


@pytest.fixture
def unused(accounts: list[StorageAccount]) -> VideoStore:
    """A deleted video, whose copy on account 1 is to be removed."""
    [video] = videos(accounts[:1], 1)
    file = file_of(video)
    video.delete()
    StoredFile.objects.all().delete()
    ask_for(TaskKind.REMOVE, account=accounts[0], repo=file.repo, path=file.path)
    return video


def test_a_copy_that_a_job_of_another_episode_adds_to_is_not_removed_meanwhile(
    unused: VideoStore, accounts: list[StorageAccount]
) -> None:
    uploading(7, 9, (file_of(unused).repo, file_of(unused).path), in_work=False)
    due()
    assert copy_of(unused, accounts[0]).exists()
    end_jobs()
    due()
    assert not copy_of(unused, accounts[0]).exists()


@pytest.mark.parametrize(
    ("work", "place"), [(55825, None), (7, ("weaboo-55825", "55825/ep4/x.mp4"))], ids=["its work", "its repository"]
)
def test_nothing_is_removed_while_a_job_sends_to_the_same_repository(
    work: int, place: tuple[str, str] | None, unused: VideoStore, accounts: list[StorageAccount]
) -> None:
    uploading(work, 9, place)
    due()
    assert copy_of(unused, accounts[0]).exists()
    end_jobs()
    due()
    assert not copy_of(unused, accounts[0]).exists()


def test_jobs_elsewhere_and_jobs_that_only_wait_keep_nothing(
    unused: VideoStore, accounts: list[StorageAccount]
) -> None:
    uploading(7, 9, ("weaboo-7", file_of(unused).path))
    uploading(55825, 9, ("weaboo-55825", "55825/ep9/x.mp4"), in_work=False)
    due()
    assert not copy_of(unused, accounts[0]).exists()


@pytest.mark.parametrize("repo", ["old", "old-x", "old-99999999999999999999"])
def test_an_orphan_in_a_repository_of_no_work_is_removed(repo: str, accounts: list[StorageAccount]) -> None:
    stray = Path(accounts[0].root) / repo / "1/ep1/x.mp4"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    Orphan.objects.create(account=accounts[0], repo=repo, path="1/ep1/x.mp4", size=1)
    uploading(55825, 9)
    ask_for(TaskKind.REMOVE, account=accounts[0], repo=repo, path="1/ep1/x.mp4")
    due()
    assert (stray.exists(), Orphan.objects.exists(), events()) == (False, False, ["removed"])


def test_a_bad_copy_is_kept_while_a_job_of_another_episode_relies_on_it(accounts: list[StorageAccount]) -> None:
    video = archive(VideoKey(55825, 1, "animasu", "720p"), accounts, b"a" * 3000)
    copy_of(video, accounts[0]).write_bytes(b"b" * 3000)
    uploading(7, 9, (file_of(video).repo, file_of(video).path))
    ask_for(TaskKind.VERIFY, stored_file=file_of(video), account=accounts[0])
    due()
    assert (copies(), events()) == ({(1, 1), (1, 2)}, [])
    end_jobs()
    due()
    assert "bad_copy" in events()
    assert copy_of(video, accounts[0]).read_bytes() == b"a" * 3000


def test_a_manifest_is_not_written_while_a_job_writes_its_own(accounts: list[StorageAccount]) -> None:
    [video] = videos(accounts, 1)
    uploading(video.mal_id, video.episode)
    ask_for(TaskKind.MANIFEST, stored_file=file_of(video))
    due()
    assert not video.sidecars.exists()
    task = StorageTask.objects.get()
    assert (task.attempts, "is storing" in task.error_message) == (0, True)
    end_jobs()
    due()
    assert video.sidecars.exists()


def test_the_manifests_of_other_videos_do_not_wait(accounts: list[StorageAccount]) -> None:
    [video] = videos(accounts, 1)
    other = VideoStore.objects.create(
        mal_id=55825, episode=2, provider="animasu", file_key="k", hf_account=1, hf_repo=video.hf_repo,
        hf_path=video.hf_path, hf_direct_url="", stream_url="", stored_file=video.stored_file,
    )  # fmt: skip
    uploading(55825, 1)
    ask_for(TaskKind.MANIFEST, stored_file=file_of(video))
    due()
    assert (video.sidecars.exists(), other.sidecars.exists()) == (False, True)


def test_an_account_is_not_retired_while_a_job_counts_on_it(accounts: list[StorageAccount]) -> None:
    uploading(7, 9)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO storage_reservation (job, account_id, size) SELECT id, 1, 5 FROM video_queue")
    StorageAccount.objects.filter(index=1).update(enabled=False, draining=True)
    sweep()
    assert chores.move_on() == 0
    assert not is_retired(accounts[0])
    end_jobs()
    assert chores.move_on() == 1
    assert is_retired(accounts[0])
