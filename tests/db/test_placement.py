"""Which accounts a file goes to, and what is reserved for it there."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from queue_app import queue
from queue_app.failures import BadSource, Cancelled, StorageFull, Transient
from queue_app.models import VideoQueue
from queue_app.queue import Lease, Place
from queue_app.reservation import place_and_reserve
from queue_app.states import Lane
from storage_app.backends.base import StorageUnavailableError
from storage_app.models import PlacementPolicy, Replica, Reservation, StorageAccount, StorageTask, StoredFile, TaskKind
from storage_app.naming import VideoKey
from storage_app.placement import Placement, place, placement_of, reserved_bytes, work_of
from storage_app.upkeep.tasks import ask_for
from tests.archive import KEY, archive

pytestmark = pytest.mark.django_db(transaction=True)

WORK = 7
LEASE = timedelta(seconds=30)
LATER = Now() + timedelta(hours=1)
CONTENT = {"sha256": "a" * 64, "size": 100, "media": {"duration": 1.0}}


def account(index: int, kind: str = "s3", **columns: Any) -> StorageAccount:
    names = {"root": f"/nowhere/{index}"} if kind == "local" else {"bucket": f"b{index}"}
    return StorageAccount.objects.create(index=index, kind=kind, username=f"u{index}", **names, **columns)


def policy(*accounts: StorageAccount, mal_id: int | None = None, **columns: Any) -> PlacementPolicy:
    made = PlacementPolicy.objects.create(mal_id=mal_id, **columns)
    made.accounts.set(accounts)
    return made


def indexes(placement: Placement) -> list[int]:
    return [account.index for account in placement.accounts]


def open_indexes(placement: Placement) -> list[int]:
    return [account.index for account in placement.open]


def claimed(episode: int = 1) -> Lease:
    queue.enqueue_video(VideoKey(WORK, episode, "p", None), "https://example.org/a.mp4")
    [lease] = queue.claim_videos(Lane.DOWNLOAD, "w", capacity=99, limit=1, lease=LEASE)
    return lease


def uploading(episode: int = 1) -> Lease:
    lease = claimed(episode)
    queue.finish_download(lease, {"attempt": str(uuid.uuid4()), **CONTENT})
    [upload] = queue.claim_videos(Lane.UPLOAD, "w", capacity=99, limit=1, lease=LEASE)
    return upload


def test_without_a_policy_every_account_in_use_gets_a_copy_and_one_makes_it_ready() -> None:
    for index in (3, 1, 2):
        account(index)
    account(4, enabled=False)
    account(5, retired_at=timezone.now())
    found = place(WORK, 100)
    assert (indexes(found), found.wanted, found.minimum) == ([1, 2, 3], 3, 1)


def test_the_works_own_policy_holds_before_the_one_for_all() -> None:
    accounts = [account(index) for index in (1, 2, 3)]
    policy(copies=2, minimum=2)
    policy(accounts[2], mal_id=WORK)
    assert (indexes(place(WORK, 1)), place(WORK, 1).wanted) == ([3], 1)
    other = place(WORK + 1, 1)
    assert (indexes(other), other.wanted, other.minimum) == ([1, 2], 2, 2)


def test_the_least_used_is_chosen_relative_to_its_size() -> None:
    account(1, used_bytes=50, limit_bytes=100)
    account(2, used_bytes=400, free_bytes=600)
    account(3, used_bytes=450, limit_bytes=1000)
    policy(copies=1)
    assert indexes(place(WORK, 10)) == [2]


def test_among_accounts_without_an_end_the_emptier_is_chosen() -> None:
    account(1, used_bytes=1000)
    account(2, used_bytes=10)
    policy(copies=1)
    assert indexes(place(WORK, 10)) == [2]


def test_copies_are_spread_over_kinds_first_if_the_policy_says_so() -> None:
    account(1, kind="s3")
    account(2, kind="s3")
    account(3, kind="local", used_bytes=90, limit_bytes=100)
    account(4, kind="huggingface", used_bytes=5, limit_bytes=100)
    mine = policy(copies=3)
    assert indexes(place(WORK, 1)) == [1, 3, 4]
    PlacementPolicy.objects.filter(pk=mine.pk).update(spread=False)
    assert indexes(place(WORK, 1)) == [1, 2, 4]


@pytest.mark.parametrize(
    "column", [{"limit_bytes": 99}, {"free_bytes": 99}, {"paused_until": LATER}, {"used_bytes": 1, "limit_bytes": 100}]
)
def test_an_account_that_cannot_take_it_now_is_left_out_while_others_can(column: dict[str, Any]) -> None:
    account(1, **column)
    account(2)
    account(3)
    policy(copies=2)
    assert indexes(place(WORK, 100)) == [2, 3]


def test_where_all_are_wanted_those_that_cannot_take_it_come_last() -> None:
    account(1, free_bytes=1)
    account(2, paused_until=LATER)
    account(3)
    found = place(WORK, 100)
    assert (indexes(found), open_indexes(found)) == ([3, 2, 1], [3])
    assert (set(found.resting), set(found.full), found.wanted) == ({2}, {1}, 3)


def test_a_pause_that_is_over_is_none() -> None:
    account(1, paused_until=Now() - timedelta(seconds=1))
    assert open_indexes(place(WORK, 100)) == [1]


def test_who_holds_the_file_counts_and_needs_no_room() -> None:
    account(1)
    account(2, free_bytes=0, paused_until=LATER)
    policy(copies=1)
    found = place(WORK, 100, have=[2])
    assert (indexes(found), found.full) == ([2], frozenset())


def test_the_minimum_is_capped_by_the_accounts_in_use_and_the_wanted_copies_are_not() -> None:
    account(1, free_bytes=1)
    account(2)
    account(3, enabled=False)
    policy(copies=4, minimum=3)
    found = place(WORK, 100)
    assert (found.wanted, found.minimum, indexes(found)) == (4, 2, [2, 1])
    assert not found.fits


def test_a_minimum_is_not_lowered_by_an_account_that_rests() -> None:
    account(1, paused_until=LATER)
    account(2)
    policy(minimum=2)
    assert (place(WORK, 1).minimum, place(WORK, 1).fits) == (2, True)


def test_works_that_share_a_file_get_the_most_that_any_asks_for() -> None:
    accounts = [account(index) for index in (1, 2, 3)]
    policy(accounts[0], mal_id=1, copies=1)
    policy(accounts[1], accounts[2], mal_id=2, copies=2, minimum=2)
    found = place([1, 2], 1)
    assert (found.wanted, found.minimum, indexes(found)) == (2, 2, [1, 2])


def test_nobody_to_choose_from_is_said_so() -> None:
    with pytest.raises(StorageUnavailableError, match="no enabled storage account"):
        place(WORK, 1)
    account(1)
    policy(account(2, enabled=False), mal_id=WORK)
    with pytest.raises(StorageUnavailableError, match="policy names"):
        place(WORK, 1)


def test_a_stored_file_is_placed_by_its_works_policy(accounts: list[StorageAccount]) -> None:
    video = archive(KEY, accounts[1:])
    assert video.stored_file is not None
    policy(mal_id=KEY.mal_id, copies=1)
    assert (indexes(placement_of(video.stored_file)), work_of(video.stored_file.repo)) == ([2], KEY.mal_id)


def test_what_jobs_in_work_have_reserved_is_taken() -> None:
    account(1, free_bytes=150)
    account(2, free_bytes=120)
    policy(copies=1)
    first, second, third = claimed(1), claimed(2), claimed(3)
    assert indexes(place_and_reserve(first, [WORK], 100)) == [1]
    assert indexes(place_and_reserve(second, [WORK], 100)) == [2]
    assert not place_and_reserve(third, [WORK], 100).fits
    assert place_and_reserve(first, [WORK], 100).fits, "its own reservation stood in its way"


def test_a_reservation_takes_the_place_of_the_one_before() -> None:
    account(1)
    account(2)
    lease = claimed()
    place_and_reserve(lease, [WORK], 100)
    policy(copies=1)
    place_and_reserve(lease, [WORK], 70, have=[2])
    assert not Reservation.objects.exists()
    place_and_reserve(lease, [WORK], 70)
    assert reserved_bytes() == {1: 70}
    assert reserved_bytes(lease.job_id) == {}


def test_who_lost_the_lease_reserves_nothing() -> None:
    account(1)
    lease = claimed()
    with pytest.raises(Cancelled):
        place_and_reserve(Lease(lease.job_id, uuid.uuid4()), [WORK], 100)
    assert not Reservation.objects.exists()


def expire(lease: Lease) -> None:
    VideoQueue.objects.filter(id=lease.job_id).update(lease_expires_at=Now() - timedelta(seconds=1))
    queue.release_expired_leases(timedelta(minutes=1))


ENDS = {
    "failed": lambda lease: queue.fail_video(lease, BadSource("a page")),
    "waits": lambda lease: queue.fail_video(lease, Transient("cut")),
    "cancelled": lambda lease: queue.cancel_videos([lease.job_id], actor="op", reason=""),
    "reset": lambda lease: queue.reset_videos([lease.job_id], actor="op", reason=""),
    "its worker was killed": expire,
    "deleted": lambda lease: VideoQueue.objects.filter(id=lease.job_id).delete(),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_reservation_ends_with_the_jobs_work(end: str) -> None:
    account(1)
    lease = claimed()
    place_and_reserve(lease, [WORK], 100)
    ENDS[end](lease)  # type: ignore[no-untyped-call]
    assert not Reservation.objects.exists()


def test_a_reservation_outlasts_the_hand_over_and_ends_with_the_copy() -> None:
    account(1, used_bytes=10, free_bytes=500)
    lease = claimed()
    place_and_reserve(lease, [WORK], 100)
    queue.finish_download(lease, {"attempt": str(uuid.uuid4()), **CONTENT})
    assert reserved_bytes() == {1: 100}
    [upload] = queue.claim_videos(Lane.UPLOAD, "w", capacity=99, limit=1, lease=LEASE)
    for _ in range(2):
        queue.record_replica(upload, 1, Place("r-7", "p"), CONTENT)
    filled = StorageAccount.objects.get()
    assert (reserved_bytes(), filled.used_bytes, filled.free_bytes) == ({}, 110, 400)


def test_an_account_that_was_never_measured_does_not_seem_full_after_its_first_copy() -> None:
    account(1)
    queue.record_replica(uploading(), 1, Place("r-7", "p"), CONTENT)
    assert open_indexes(place(WORK, 10**12)) == [1]


def test_a_copy_is_written_down_with_its_mark_and_the_copies_wanted() -> None:
    account(1)
    lease = uploading()
    queue.record_replica(lease, 1, Place("r-7", "p"), CONTENT, etag="e1", copies_wanted=3)
    Replica.objects.update(verified_at=Now() - timedelta(days=1))
    queue.record_replica(lease, 1, Place("r-7", "p"), CONTENT, etag="e2")
    replica = Replica.objects.select_related("stored_file").get()
    assert (replica.etag, replica.stored_file.copies_wanted) == ("e2", 3)
    assert timezone.now() - replica.verified_at < timedelta(minutes=1)


def test_a_new_content_ends_what_was_to_be_done_with_the_one_before() -> None:
    account(1)
    lease, where = uploading(), Place("r-7", "p")
    former = queue.record_replica(lease, 1, where, CONTENT)
    ask_for_copies(former)
    stored = queue.record_replica(lease, 1, where, {**CONTENT, "sha256": "b" * 64})
    assert stored is not None
    assert not StorageTask.objects.exists()
    ask_for_copies(former)
    publish(lease, stored)
    assert [file.id for file in StoredFile.objects.all()] == [stored]
    assert not StorageTask.objects.exists()


def test_what_an_earlier_attempt_left_beside_the_video_is_forgotten() -> None:
    account(1)
    lease, beside = uploading(), Place("r-7", "p.json")
    queue.record_replica(lease, 1, beside, {**CONTENT, "sha256": "b" * 64})
    sidecar = queue.record_replica(lease, 1, beside, {**CONTENT, "sha256": "c" * 64})
    stored = queue.record_replica(lease, 1, Place("r-7", "p.mp4"), CONTENT)
    publish(lease, stored, [{"stored_file": str(sidecar), "kind": "manifest", "name": ""}])
    assert {file.id for file in StoredFile.objects.all()} == {stored, sidecar}


def ask_for_copies(stored_file: uuid.UUID | None) -> None:
    assert stored_file is not None
    ask_for(TaskKind.REPLICATE, stored_file=StoredFile.objects.get(pk=stored_file))


def publish(lease: Lease, stored: uuid.UUID | None, sidecars: list[dict[str, str]] | None = None) -> None:
    assert stored is not None
    assert queue.publish_video(
        lease, stored, file_key="k", account=1, repo="r", direct_url="", stream_url="", sidecars=sidecars or []
    )


def test_an_account_rests_as_long_as_it_asks_for() -> None:
    account(1)
    long = queue.pause_account(1, "slow down", 7200) - timezone.now()
    assert long.total_seconds() == pytest.approx(7200, abs=5)
    again = queue.pause_account(1, "slow down", 5) - timezone.now()
    assert again.total_seconds() == pytest.approx(7200, abs=5), "a shorter one cut it short"
    assert StorageAccount.objects.get().pause_count == 1


def test_a_longer_rest_makes_a_shorter_one_longer_and_without_a_time_it_is_a_minute() -> None:
    account(1)
    short = queue.pause_account(1, "gone") - timezone.now()
    assert short.total_seconds() == pytest.approx(60, abs=5)
    longer = queue.pause_account(1, "slow down", 300) - timezone.now()
    assert longer.total_seconds() == pytest.approx(300, abs=5)


@pytest.mark.parametrize("claim", [claimed, uploading])
def test_a_video_without_room_anywhere_waits_and_burns_no_attempt(claim: Any) -> None:
    lease = claim()
    before = VideoQueue.objects.get()
    assert queue.fail_video(lease, StorageFull("no room")) == {"downloading": "pending"}.get(before.status, "uploading")
    job = VideoQueue.objects.get()
    assert job.attempt == before.attempt - (before.status == "downloading")
    assert job.not_before is not None
    assert timedelta(minutes=5) < job.not_before - timezone.now() < timedelta(minutes=15)
