"""Damage is found and mended by itself, and the last good copy is never touched."""

from __future__ import annotations

import hashlib
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils.timezone import now

from queue_app import tasks as chores
from queue_app.models import VideoQueue
from storage_app.models import (
    PlacementPolicy,
    Replica,
    Sidecar,
    StorageAccount,
    StorageTask,
    StoredFile,
    TaskKind,
    VideoStore,
)
from storage_app.upkeep import scrub
from storage_app.upkeep.sweep import sweep
from storage_app.upkeep.tasks import ask_for
from storage_app.upkeep.verify import verify_quickly
from tests.archive import copy_of, make_account
from tests.upkeep.conftest import copies, due, events, file_of, tasks, videos

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = {(episode, account) for episode in (1, 2, 3) for account in (1, 2)}


@pytest.fixture
def three(accounts: list[StorageAccount]) -> list[VideoStore]:
    """Three videos, each on both accounts."""
    return videos(accounts)


def flip(copy: Path) -> None:
    """Changes one byte in the middle, and nothing else about the file."""
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)


def enqueue(video: VideoStore, status: str) -> None:
    """A job for the video's key, in this state."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO video_queue (mal_id, episode, provider, video_url, resolution, status)"
            " VALUES (%s, %s, %s, 'https://example.com/v.mp4', %s, %s)",
            [video.mal_id, video.episode, video.provider, video.resolution, status],
        )


def verify(video: VideoStore, account: StorageAccount) -> StorageTask:
    return ask_for(TaskKind.VERIFY, stored_file=file_of(video), account=account)


# --- verify ---


def test_a_good_copy_gets_its_date(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    verify(three[0], accounts[0])
    assert due() == 1
    replica = Replica.objects.get(stored_file=file_of(three[0]), account=accounts[0])
    assert replica.scrubbed_at is not None
    assert replica.scrubbed_at > now() - timedelta(minutes=1)
    assert (copies(), tasks(), events()) == (BOTH, [], [])


def test_a_flipped_byte_is_found_by_the_scrub_and_replaced(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    whole = copy_of(three[1], accounts[1]).read_bytes()
    flip(copy_of(three[1], accounts[1]))
    assert scrub.ask() == 6
    due()
    assert copy_of(three[1], accounts[1]).read_bytes() == whole
    assert (copies(), tasks(), events()) == (BOTH, [], ["bad_copy", "copied"])


def test_what_was_found_is_told_with_both_hashes(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    copy = copy_of(three[0], accounts[0])
    flip(copy)
    wrong = hashlib.sha256(copy.read_bytes()).hexdigest()
    verify(three[0], accounts[0])
    due(TaskKind.VERIFY)
    reason = StorageTask.objects.get(kind=TaskKind.REPLICATE).reason
    assert wrong in reason
    assert file_of(three[0]).sha256 in reason


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100_000], ids=["empty", "short", "long"])
def test_a_copy_of_another_length_is_replaced(
    three: list[VideoStore], accounts: list[StorageAccount], content: bytes
) -> None:
    copy_of(three[0], accounts[0]).write_bytes(content)
    verify(three[0], accounts[0])
    due()
    assert copy_of(three[0], accounts[0]).read_bytes() == bytes([1]) * 3000


def test_a_deleted_object_is_made_anew(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    copy_of(three[0], accounts[0]).unlink()
    verify(three[0], accounts[0])
    due()
    assert copy_of(three[0], accounts[0]).read_bytes() == bytes([1]) * 3000
    assert (copies(), events()) == (BOTH, ["missing_copy", "primary_moved", "copied"])


def test_the_only_copy_is_kept_though_it_is_bad(accounts: list[StorageAccount]) -> None:
    [video] = videos(accounts[:1], 1)
    copy = copy_of(video, accounts[0])
    flip(copy)
    left = copy.read_bytes()
    verify(video, accounts[0])
    assert due() == 1
    assert (copy.read_bytes(), copies(), events()) == (left, {(1, 1)}, ["no_good_copy"])
    task = StorageTask.objects.get()
    assert "No copy" in task.error_message
    assert task.not_before > now() + timedelta(hours=23)


def test_two_bad_copies_are_both_kept(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    for account in accounts:
        flip(copy_of(three[0], account))
    verify(three[0], accounts[0])
    due()
    assert copies() == BOTH
    assert all(copy_of(three[0], account).exists() for account in accounts)
    assert set(events()) == {"no_good_copy"}


def test_a_bad_copy_is_kept_while_the_other_account_can_not_be_asked(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    flip(copy_of(three[0], accounts[0]))
    StorageAccount.objects.filter(index=2).update(kind="local", root="/proc/self/mem")
    verify(three[0], accounts[0])
    due()
    assert (copies(), events()) == (BOTH, [])
    assert "kept until then" in StorageTask.objects.get().error_message


def test_one_missing_object_among_missing_ones_pauses_the_account(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    shutil.rmtree(accounts[0].root)
    Path(accounts[0].root).mkdir()
    verify(three[0], accounts[0])
    due()
    accounts[0].refresh_from_db()
    assert (accounts[0].paused_until or now()) > now()
    assert copies() == BOTH


def test_nothing_is_judged_while_a_job_stores_the_episode_anew(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    flip(copy_of(three[0], accounts[0]))
    enqueue(three[0], "uploading")
    verify(three[0], accounts[0])
    due()
    assert (copies(), events()) == (BOTH, [])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE video_queue SET status = 'ready'")
    verify(three[0], accounts[0])
    due()
    assert events() == ["bad_copy", "primary_moved", "copied"]


def test_a_place_is_verified_whatever_file_should_be_there(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    flip(copy_of(three[0], accounts[1]))
    file = file_of(three[0])
    ask_for(TaskKind.VERIFY, account=accounts[1], repo=file.repo, path=file.path)
    due()
    assert events() == ["bad_copy", "copied"]


def test_the_quick_look_sees_a_cut_but_changes_nothing(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    copy_of(three[0], accounts[0]).write_bytes(b"short")
    replicas = Replica.objects.filter(stored_file=file_of(three[0])).select_related("account", "stored_file")
    assert {replica.account_id: verify_quickly(replica).good for replica in replicas} == {1: False, 2: True}
    assert copies() == BOTH


# --- the primary ---


def test_the_primary_follows_the_copies(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    copy_of(three[0], accounts[0]).unlink()
    verify(three[0], accounts[0])
    due(TaskKind.VERIFY)
    video = VideoStore.objects.get(pk=three[0].pk)
    assert (video.hf_account, video.hf_repo, video.hf_path) == (2, "local2/weaboo-55825", file_of(video).path)
    assert video.hf_direct_url == video.stream_url
    assert set(tasks()) == {"replicate", "manifest"}


# --- the scrub's budget ---


def test_the_scrub_reads_no_more_in_a_day_than_its_budget(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    StorageAccount.objects.update(scrub_bytes=7000)
    assert scrub.ask() == 4
    due()
    assert (scrub.ask(), scrub.ask()) == (0, 0)
    assert [scrub.spent(account) for account in accounts] == [6000, 6000]
    assert Replica.objects.exclude(scrubbed_at=None).count() == 4


def test_what_waits_already_counts_against_the_budget(three: list[VideoStore]) -> None:
    StorageAccount.objects.update(scrub_bytes=7000)
    assert [scrub.ask() for _ in range(3)] == [4, 0, 0]


def test_a_scrub_whose_budget_was_spent_meanwhile_waits_for_tomorrow(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    StorageAccount.objects.update(scrub_bytes=7000)
    scrub.ask()
    for account in accounts:
        scrub.charge(account, 7000)
    due()
    assert not Replica.objects.exclude(scrubbed_at=None).exists()
    assert {task.not_before.date() for task in StorageTask.objects.all()} == {now().date() + timedelta(days=1)}


def test_the_oldest_check_comes_first(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    StorageAccount.objects.update(scrub_bytes=3000)
    for days, video in enumerate(three, 2):
        Replica.objects.filter(stored_file=file_of(video)).update(scrubbed_at=now() - timedelta(days=days))
    scrub.ask()
    assert set(StorageTask.objects.values_list("stored_file", flat=True)) == {file_of(three[2]).pk}


def test_a_copy_larger_than_the_budget_is_paid_for_by_the_days_after(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    account = accounts[0]
    StorageAccount.objects.update(scrub_bytes=1000)
    account.refresh_from_db()
    assert (scrub.spend(account, 2500), scrub.spend(account, 1)) == (True, False)
    assert list(account.scrub_days.order_by("day").values_list("size", flat=True)) == [1000, 1000, 500]


def test_no_budget_no_scrub(three: list[VideoStore]) -> None:
    StorageAccount.objects.update(scrub_bytes=0)
    assert scrub.ask() == 0


# --- lacking copies ---


def test_a_new_account_is_filled_by_itself(three: list[VideoStore], tmp_path: Path) -> None:
    sweep()
    assert tasks() == []
    third = make_account(tmp_path, 3)
    assert sweep() == 3
    due()
    assert copies() == BOTH | {(episode, 3) for episode in (1, 2, 3)}
    assert copy_of(three[2], third).read_bytes() == bytes([3]) * 3000
    assert set(StoredFile.objects.values_list("copies_wanted", flat=True)) == {3}


def test_the_sweep_finds_nothing_to_do_when_nothing_has_changed(
    three: list[VideoStore], django_assert_max_num_queries: object
) -> None:
    sweep()
    Replica.objects.filter(account=2).delete()
    assert sweep() == 0


def test_an_account_that_comes_back_is_healed_at_once(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    Replica.objects.filter(account=2).delete()
    shutil.rmtree(accounts[1].root)
    StorageAccount.objects.filter(index=2).update(paused_until=now() + timedelta(hours=1), pause_reason="dead")
    assert sweep() == 0
    ask_for(TaskKind.REPLICATE, stored_file=file_of(three[0]))
    due()
    assert "dead" in StorageTask.objects.get().error_message
    assert StorageTask.objects.get().attempts == 0
    StorageAccount.objects.filter(index=2).update(paused_until=None)
    sweep()
    due()
    assert copies() == BOTH


def test_what_lies_beside_a_video_goes_with_it(accounts: list[StorageAccount], tmp_path: Path) -> None:
    [video] = videos(accounts[:1], 1)
    beside = StoredFile.objects.create(
        repo="weaboo-55825", path="55825/ep1/x.en.vtt", sha256=hashlib.sha256(b"WEBVTT").hexdigest(), size=6, duration=0
    )
    (Path(accounts[0].root) / "weaboo-55825/55825/ep1/x.en.vtt").write_bytes(b"WEBVTT")
    Replica.objects.create(stored_file=beside, account=accounts[0])
    Sidecar.objects.create(video=video, stored_file=beside, kind="subtitles")
    ask_for(TaskKind.REPLICATE, stored_file=file_of(video))
    assert due() == 1
    assert set(beside.replicas.values_list("account", flat=True)) == {1, 2}
    assert (Path(accounts[1].root) / "weaboo-55825/55825/ep1/x.en.vtt").read_bytes() == b"WEBVTT"


def test_a_bad_source_is_passed_over_and_replaced_too(three: list[VideoStore], tmp_path: Path) -> None:
    first = StorageAccount.objects.get(index=1)
    flip(copy_of(three[0], first))
    third = make_account(tmp_path, 3)
    ask_for(TaskKind.REPLICATE, stored_file=file_of(three[0]))
    due()
    assert {copy_of(three[0], account).read_bytes() for account in (first, third)} == {bytes([1]) * 3000}
    assert "bad_copy" in events()


def test_no_copy_is_made_of_a_bad_one(accounts: list[StorageAccount]) -> None:
    [video] = videos(accounts[:1], 1)
    flip(copy_of(video, accounts[0]))
    ask_for(TaskKind.REPLICATE, stored_file=file_of(video))
    due()
    assert copies() == {(1, 1)}
    assert not copy_of(video, accounts[1]).exists()
    assert "no_good_copy" in events()


def test_one_dead_account_does_not_keep_the_others_from_their_copies(
    accounts: list[StorageAccount], tmp_path: Path
) -> None:
    [video] = videos(accounts[:1], 1)
    Path(accounts[1].root).write_text("not a folder")
    make_account(tmp_path, 3)
    ask_for(TaskKind.REPLICATE, stored_file=file_of(video))
    due()
    assert copies() == {(1, 1), (1, 3)}
    accounts[1].refresh_from_db()
    assert (accounts[1].paused_until or now()) > now()
    Path(accounts[1].root).unlink()
    StorageAccount.objects.update(paused_until=None)
    sweep()
    due()
    assert copies() == {(1, 1), (1, 2), (1, 3)}


def test_a_deleted_videos_file_is_not_spread(three: list[VideoStore], tmp_path: Path) -> None:
    make_account(tmp_path, 3)
    file = file_of(three[0])
    three[0].delete()
    ask_for(TaskKind.REPLICATE, stored_file=file)
    due()
    assert (events(), tasks()) == ([], [])


# --- draining ---


def test_a_drained_account_is_emptied_and_retired(three: list[VideoStore], accounts: list[StorageAccount]) -> None:
    StorageAccount.objects.filter(index=1).update(enabled=False, draining=True)
    assert sweep() == 3
    due()
    accounts[0].refresh_from_db()
    assert accounts[0].retired_at is not None
    assert copies() == {(1, 2), (2, 2), (3, 2)}
    assert [path for path in Path(accounts[0].root).rglob("*") if path.is_file()] == []
    assert set(VideoStore.objects.values_list("hf_account", flat=True)) == {2}
    assert events().count("moved") == 3
    assert events()[-1] == "retired"


def test_what_only_the_drained_account_has_is_copied_first(accounts: list[StorageAccount]) -> None:
    [video] = videos(accounts[:1], 1)
    StorageAccount.objects.filter(index=1).update(enabled=False, draining=True)
    sweep()
    due()
    assert copies() == {(1, 2)}
    assert copy_of(video, accounts[1]).read_bytes() == bytes([1]) * 3000


def test_a_copy_is_not_given_up_when_the_others_turn_out_bad(
    three: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    flip(copy_of(three[0], accounts[1]))
    StorageAccount.objects.filter(index=1).update(enabled=False, draining=True)
    ask_for(TaskKind.REPLICATE, stored_file=file_of(three[0]))
    due(TaskKind.REPLICATE)
    assert copies() == BOTH
    assert copy_of(three[0], accounts[0]).exists()
    due(TaskKind.VERIFY)
    StorageTask.objects.update(not_before=now())
    due()
    assert {pair for pair in copies() if pair[0] == 1} == {(1, 2)}
    assert copy_of(three[0], accounts[1]).read_bytes() == bytes([1]) * 3000


def test_nothing_leaves_the_last_account(accounts: list[StorageAccount]) -> None:
    [video] = videos(accounts[:1], 1)
    StorageAccount.objects.update(enabled=False, draining=True)
    ask_for(TaskKind.REPLICATE, stored_file=file_of(video))
    due()
    assert copies() == {(1, 1)}
    assert copy_of(video, accounts[0]).exists()


# --- uploads that stand still although all is stored ---


def test_an_upload_that_waits_although_all_is_there_goes_on(three: list[VideoStore]) -> None:
    enqueue(three[0], "uploading")
    VideoQueue.objects.update(not_before=now() + timedelta(hours=1), artifact={"sha256": file_of(three[0]).sha256})
    assert chores.move_on() == 1
    assert VideoQueue.objects.get().not_before is None
    Replica.objects.filter(account=2).delete()
    VideoQueue.objects.update(not_before=now() + timedelta(hours=1))
    assert chores.move_on() == 0


def test_a_round_goes_on_in_pieces_where_it_stopped(
    accounts: list[StorageAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage_app.upkeep.sweep.CHUNK", 2)
    monkeypatch.setattr("storage_app.upkeep.sweep.BACKLOG", 3)
    videos(accounts[:1], 9)
    assert sweep() == 4, "two chunks, then the backlog is full"
    assert sweep() == 0
    due()
    assert len(copies()) == 9 + 4
    while sweep():
        due()
    assert len(copies()) == 18


def test_a_policy_says_how_many_copies_and_where(accounts: list[StorageAccount], tmp_path: Path) -> None:
    make_account(tmp_path, 3)
    policy = PlacementPolicy.objects.create(mal_id=55825, copies=2)
    policy.accounts.set([1, 3])
    videos(accounts[:1], 2)
    sweep()
    due()
    assert copies() == {(1, 1), (2, 1), (1, 3), (2, 3)}
    assert set(StoredFile.objects.values_list("copies_wanted", flat=True)) == {2}
    policy.delete()
    sweep()
    due()
    assert len(copies()) == 6
