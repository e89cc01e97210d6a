"""Copies on a Hub, which answers for what its disk has lost: only reading shows it."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils.timezone import now

from storage_app.backends import backend_for
from storage_app.backends.base import FileToPut
from storage_app.credentials import seal
from storage_app.models import AccountKind, Replica, StorageAccount, StorageTask, TaskKind, VideoStore
from storage_app.upkeep import scrub
from storage_app.upkeep.tasks import ask_for
from tests.archive import copy_of
from tests.servers.hub import Hub
from tests.upkeep.conftest import copies, due, events, file_of, videos

pytestmark = pytest.mark.django_db(transaction=True)
SIZE = 30_000


@pytest.fixture
def ann(hub: Hub, accounts: list[StorageAccount]) -> StorageAccount:
    """Account 3, on the Hub."""
    hub.add_user("ann")
    return StorageAccount.objects.create(
        index=3, kind=AccountKind.HUGGINGFACE, username="ann", endpoint=hub.endpoint, secret=seal(hub.user("ann").token)
    )


@pytest.fixture
def video(accounts: list[StorageAccount], ann: StorageAccount, tmp_path: Path) -> VideoStore:
    """On account 1, which is drained, and on the Hub; account 2 is not in use."""
    [video] = videos(accounts[:1], 1, SIZE)
    file, source = file_of(video), copy_of(video, accounts[0])
    put = FileToPut(source, file.repo, file.path, hashlib.sha256(source.read_bytes()).hexdigest(), SIZE)
    backend_for(ann).put([put], lambda _sent: None)
    Replica.objects.create(stored_file=file, account=ann)
    StorageAccount.objects.filter(index=1).update(enabled=False, draining=True)
    StorageAccount.objects.filter(index=2).update(enabled=False)
    ask_for(TaskKind.REPLICATE, stored_file=file)
    return video


def test_no_good_copy_is_given_up_for_one_that_only_looks_good(
    video: VideoStore, accounts: list[StorageAccount], hub: Hub
) -> None:
    file = file_of(video)
    hub.corrupt("ann", file.repo, file.path, SIZE // 2)
    due(TaskKind.REPLICATE, TaskKind.REMOVE)
    assert copies() == {(1, 1), (1, 3)}
    assert copy_of(video, accounts[0]).exists()
    assert StorageTask.objects.filter(kind=TaskKind.VERIFY, account=3, stored_file=file).exists()
    due()
    StorageTask.objects.update(not_before=now())
    due()
    assert {"bad_copy", "copied", "moved"} <= set(events())
    assert copies() == {(1, 3)}
    assert hub.content("ann", file.repo, file.path) == bytes([1]) * SIZE


def test_the_copy_that_stays_is_read_once(video: VideoStore, ann: StorageAccount) -> None:
    due(TaskKind.REPLICATE)
    replica = Replica.objects.get()
    assert (replica.account_id, scrub.spent(ann)) == (3, SIZE)
    assert replica.scrubbed_at is not None


@pytest.mark.parametrize(("days", "read"), [(29, 0), (31, SIZE)])
def test_one_that_was_read_lately_is_only_looked_at(
    days: int, read: int, video: VideoStore, ann: StorageAccount
) -> None:
    Replica.objects.filter(account=ann).update(scrubbed_at=now() - timedelta(days=days))
    due(TaskKind.REPLICATE)
    assert (copies(), scrub.spent(ann)) == ({(1, 3)}, read)


def test_a_copy_on_its_way_has_its_room_before_it_comes(
    video: VideoStore, ann: StorageAccount, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    Replica.objects.filter(account=1).delete()
    StorageAccount.objects.filter(index=2).update(enabled=True)
    rooms: list[int] = []
    reserve = os.posix_fallocate

    def note(descriptor: int, start: int, size: int) -> None:
        rooms.append(size)
        reserve(descriptor, start, size)

    monkeypatch.setattr("os.posix_fallocate", note)
    due(TaskKind.REPLICATE)
    assert (copies(), rooms) == ({(1, 2), (1, 3)}, [SIZE])
