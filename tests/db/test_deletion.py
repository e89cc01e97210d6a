"""Deleting videos."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from queue_app import queue
from queue_app import tasks as chores
from queue_app.models import JobEvent, VideoQueue
from storage_app.deletion import delete_videos
from storage_app.manifest import key_of, refresh
from storage_app.models import (
    Replica,
    Sidecar,
    StorageAccount,
    StorageEvent,
    StorageTask,
    StoredFile,
    Tombstone,
    VideoStore,
)
from storage_app.naming import VideoKey
from tests.archive import KEY, archive, copy_of
from tests.playing import play

pytestmark = pytest.mark.django_db
OTHER = VideoKey(55825, 2, "animasu", None)
URL = "/stream/55825/1/animasu/720p"


@pytest.fixture
def video(accounts: list[StorageAccount]) -> VideoStore:
    """Archived on two accounts, with its manifest and a job that is ready."""
    made = archive(KEY, accounts)
    refresh(made)
    queue.enqueue_video(KEY, "https://origin.example/v.mp4")
    VideoQueue.objects.update(status="ready")
    return made


def share_content(video: VideoStore) -> VideoStore:
    return VideoStore.objects.create(
        mal_id=OTHER.mal_id, episode=OTHER.episode, provider=OTHER.provider, file_key="k", hf_account=1,
        hf_repo=video.hf_repo, hf_path=video.hf_path, hf_direct_url="", stream_url="", stored_file=video.stored_file,
    )  # fmt: skip


def removals() -> set[tuple[int | None, str]]:
    return set(StorageTask.objects.filter(kind="remove").values_list("account_id", "path"))


def job() -> VideoQueue:
    return VideoQueue.objects.get(mal_id=KEY.mal_id, episode=KEY.episode)


def test_rows_go_at_once_and_every_copy_is_to_be_removed(video: VideoStore, accounts: list[StorageAccount]) -> None:
    StorageAccount.objects.filter(pk=2).update(enabled=False)
    assert delete_videos([video.pk], "ann", "Not ours.") == 1
    assert not any(model.objects.exists() for model in (VideoStore, Sidecar, StoredFile, Replica))
    manifest = video.hf_path.replace(".mp4", ".json")
    assert removals() == {(index, path) for index in (1, 2) for path in (video.hf_path, manifest)}
    assert set(StorageTask.objects.values_list("repo", "actor", "reason")) == {
        (video.hf_repo, "ann", "Deleted: Not ours.")
    }
    assert copy_of(video, accounts[0]).exists()  # until the task is done


def test_a_tombstone_and_an_event_are_left(video: VideoStore) -> None:
    VideoStore.objects.update(title="Title")
    delete_videos([video.pk], "ann", "Not ours.")
    stone = Tombstone.objects.get()
    assert key_of(video) == VideoKey(stone.mal_id, stone.episode, stone.provider, stone.resolution)
    assert video.stored_file
    assert (stone.sha256, stone.size, stone.title) == (video.stored_file.sha256, video.stored_file.size, "Title")
    assert (stone.actor, stone.reason, stone.file_key) == ("ann", "Not ours.", video.file_key)
    event = StorageEvent.objects.get(kind="deleted")
    assert (event.actor, event.path) == ("ann", video.hf_path)
    assert event.text == "55825 · episode 1 · animasu · 720p was deleted. Not ours."


def test_content_that_is_shared_stays(video: VideoStore) -> None:
    other = share_content(video)
    delete_videos([video.pk], "ann", "")
    other.refresh_from_db()
    assert other.stored_file == video.stored_file
    assert {path for _account, path in removals()} == {video.hf_path.replace(".mp4", ".json")}
    assert play("/stream/55825/2/animasu").body
    delete_videos([other.pk], "ann", "")
    assert {path for _account, path in removals()} >= {video.hf_path}


def test_both_that_share_a_content_at_once(video: VideoStore) -> None:
    assert delete_videos([share_content(video).pk, video.pk], "ann", "") == 2
    assert not StoredFile.objects.exists()
    assert len(removals()) == 4


@pytest.mark.parametrize("status", ["ready", "pending", "downloading", "uploading"])
def test_its_job_neither_looks_ready_nor_brings_it_back(status: str, video: VideoStore) -> None:
    VideoQueue.objects.update(status=status, lease_token=None if status in {"ready", "pending"} else uuid4())
    delete_videos([video.pk], "ann", "Not ours.")
    assert (job().status, job().error_message, job().lease_token) == ("cancelled", "Not ours.", None)
    event = JobEvent.objects.latest("id")
    assert (event.actor, event.from_status, event.to_status, event.reason) == ("ann", status, "cancelled", "Not ours.")
    assert queue.get_queue_counts()["archived"] == 0


def test_deleting_by_plain_sql_cancels_the_job_too(video: VideoStore) -> None:
    Sidecar.objects.all().delete()
    VideoStore.objects.all().delete()
    assert (job().status, job().error_message) == ("cancelled", "The video was deleted.")


def test_other_jobs_are_left_alone(video: VideoStore) -> None:
    for key in (VideoKey(55825, 1, "animasu", None), VideoKey(55825, 1, "animasu", "480p"), OTHER):
        queue.enqueue_video(key, "https://origin.example/o.mp4")
    delete_videos([video.pk], "ann", "")
    assert sorted(VideoQueue.objects.values_list("status", flat=True)) == ["cancelled", "pending", "pending", "pending"]


def test_a_failed_job_keeps_its_failure(video: VideoStore) -> None:
    VideoQueue.objects.update(status="failed", error_message="gone")
    delete_videos([video.pk], "ann", "")
    assert (job().status, job().error_message) == ("failed", "gone")


def test_what_is_gone_already_is_not_counted(video: VideoStore) -> None:
    assert delete_videos([video.pk, uuid4()], "ann", "") == 1
    assert delete_videos([video.pk], "ann", "") == 0
    assert Tombstone.objects.count() == 1


def test_a_row_of_an_older_client_is_deleted_too(accounts: list[StorageAccount]) -> None:
    video = archive(KEY, accounts)
    VideoStore.objects.update(stored_file=None)
    assert delete_videos([video.pk], "ann", "") == 1
    assert Tombstone.objects.get().size is None


def test_a_manifest_that_is_written_meanwhile_does_not_stay(video: VideoStore) -> None:
    delete_videos([video.pk], "ann", "")
    assert refresh(video) is None
    assert not StoredFile.objects.exists()


# --- contents that no video uses ---


@pytest.fixture
def left_over(accounts: list[StorageAccount]) -> StoredFile:
    """What an upload has left that was cancelled two days ago: a content on two accounts, and no video."""
    video = archive(KEY, accounts)
    queue.enqueue_video(KEY, "https://origin.example/v.mp4")
    VideoQueue.objects.update(status="cancelled")
    StoredFile.objects.update(created_at=now() - timedelta(days=2))
    file = video.stored_file
    assert file is not None
    VideoStore.objects.all().delete()
    return file


def test_what_a_cancelled_upload_has_left_is_removed(left_over: StoredFile) -> None:
    assert chores.remove_unused() == 1
    assert not StoredFile.objects.exists()
    assert removals() == {(1, left_over.path), (2, left_over.path)}
    assert set(StorageTask.objects.values_list("actor", "reason")) == {("system", "Deleted: No video uses it.")}
    assert chores.remove_unused() == 0


def test_a_superseded_content_goes_and_the_one_in_use_stays(
    left_over: StoredFile, accounts: list[StorageAccount]
) -> None:
    other = archive(OTHER, accounts, b"other")
    refresh(other)
    StoredFile.objects.update(created_at=now() - timedelta(days=2))
    assert chores.remove_unused() == 1
    assert set(StoredFile.objects.values_list("path", flat=True)) == {other.hf_path, other.hf_path[:-3] + "json"}
    assert {path for _account, path in removals()} == {left_over.path}


@pytest.mark.parametrize("status", ["pending", "downloading", "uploading", "failed"])
def test_what_a_job_may_still_need_is_kept(status: str, left_over: StoredFile) -> None:
    VideoQueue.objects.update(status=status)
    assert (chores.remove_unused(), removals()) == (0, set())


def test_what_has_just_come_is_kept(left_over: StoredFile) -> None:
    StoredFile.objects.update(created_at=now() - timedelta(hours=23))
    assert (chores.remove_unused(), removals()) == (0, set())


def test_many_are_gone_through_page_by_page(
    left_over: StoredFile, accounts: list[StorageAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage_app.deletion.PAGE", 2)
    for number in range(5):
        StoredFile.objects.create(
            repo="r", path=f"1/ep{number}/x.mp4", sha256="a" * 64, size=1, duration=1,
            created_at=now() - timedelta(days=2),
        )  # fmt: skip
    queue.enqueue_video(VideoKey(1, 3, "animasu", None), "https://origin.example/v.mp4")
    assert chores.remove_unused() == 5
    assert list(StoredFile.objects.values_list("path", flat=True)) == ["1/ep3/x.mp4"]


# --- playing it ---


def test_a_deleted_video_is_gone_for_players(video: VideoStore) -> None:
    delete_videos([video.pk], "ann", "Not ours.")
    answer = play(URL)
    assert answer.status_code == 410
    assert answer["Access-Control-Allow-Origin"] == "*"
    said: dict[str, Any] = answer.json()
    assert said.pop("deleted_at")
    assert said == {
        "error": "deleted", "detail": "This video was deleted. Asking for it anew archives it again.",
        "deleted": True, "queued": False, "status": "cancelled",
    }  # fmt: skip
    assert play(URL, "head").status_code == 410


def test_one_that_is_asked_for_anew_is_on_its_way(video: VideoStore, accounts: list[StorageAccount]) -> None:
    delete_videos([video.pk], "ann", "")
    queue.enqueue_video(KEY, "https://origin.example/v.mp4")
    answer = play(URL)
    assert (answer.status_code, answer.json()["status"]) == (404, "pending")
    for account in accounts:
        copy_of(video, account).unlink()
        copy_of(video, account).with_suffix(".json").unlink()
        copy_of(video, account).parent.rmdir()
    archive(KEY, accounts)
    assert play(URL).status_code == 200


def test_what_never_was_is_not_found() -> None:
    assert play(URL).status_code == 404


# --- the command ---


def test_videos_are_deleted_by_key_and_by_id(
    video: VideoStore, accounts: list[StorageAccount], capsys: pytest.CaptureFixture[str]
) -> None:
    other = archive(OTHER, accounts, b"other")
    call_command("delete_video", "55825/1/animasu/720p", str(other.pk), "--reason", "Not ours.", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "deleted": ["55825/1/animasu/720p", str(other.pk)], "unknown": [],
    }  # fmt: skip
    assert set(Tombstone.objects.values_list("actor", "reason")) == {("manage.py", "Not ours.")}


def test_one_that_is_not_archived_is_named_and_the_others_deleted(
    video: VideoStore, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        call_command("delete_video", "55825/1/animasu", "55825/1/animasu/720p", "--reason", "x")
    assert end.value.code == 1
    output = capsys.readouterr()
    assert output.out == "55825/1/animasu/720p: deleted\n"
    assert output.err == "55825/1/animasu: no such video is archived.\n"
    assert not VideoStore.objects.filter(pk=video.pk).exists()


@pytest.mark.parametrize("text", ["junk", "1/2", "1/2/3/4/5", "x/1/p", "1/1/../720p"])
def test_what_is_no_key_is_named(text: str) -> None:
    with pytest.raises(CommandError, match="is no video: say WORK/EPISODE/PROVIDER"):
        call_command("delete_video", text, "--reason", "x")
