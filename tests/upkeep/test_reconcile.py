"""Accounts and tables are compared both ways; nothing goes that isn't surely gone, or confirmed by a person."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.utils.timezone import now

from storage_app.models import Orphan, Replica, StorageAccount, StorageTask, TaskKind, VideoStore
from storage_app.upkeep.lease import NoBeat
from storage_app.upkeep.reconcile import Reconciled, confirm_orphans, reconcile, reconcile_all
from storage_app.upkeep.tasks import ask_for
from tests.archive import copy_of
from tests.upkeep.conftest import copies, due, events, file_of, tasks, videos
from tests.upkeep.test_healing import enqueue, flip

pytestmark = pytest.mark.django_db(transaction=True)

Output = pytest.CaptureFixture[str]


@pytest.fixture
def ten(accounts: list[StorageAccount]) -> list[VideoStore]:
    """Ten videos, each on both accounts."""
    return videos(accounts, 10, 300)


def look(account: StorageAccount, *, accept_loss: bool = False) -> Reconciled:
    return reconcile(account, NoBeat(), accept_loss=accept_loss)


def stray(account: StorageAccount, path: str = "55825/ep99/stray.mp4") -> Path:
    """An object that no table knows."""
    place = Path(account.root) / "weaboo-55825" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"stray")
    return place


def a_day_later() -> None:
    """What was found until now was found, and seen last, two days ago."""
    two = timedelta(days=2)
    Orphan.objects.update(found_at=F("found_at") - two, seen_at=F("seen_at") - two)


def run(code: int, *arguments: Any) -> None:
    with pytest.raises(SystemExit) if code else nullcontext() as end:
        call_command(*arguments)
    if code:
        assert end is not None
        assert end.value.code == code


# --- rows without objects ---


def test_what_agrees_is_left_alone(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    assert look(accounts[0]) == Reconciled(account=1, objects=10, copies=10)
    assert (tasks(), events(), Orphan.objects.count()) == ([], [], 0)


def test_a_deleted_object_is_noticed_and_made_anew(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    copy_of(ten[3], accounts[1]).unlink()
    assert reconcile_all() == 2
    due()
    assert copy_of(ten[3], accounts[1]).read_bytes() == bytes([4]) * 300
    assert events() == ["missing_copy", "copied"]


def test_an_object_of_another_size_is_read_back_and_replaced(
    ten: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    copy_of(ten[3], accounts[1]).write_bytes(b"cut")
    assert look(accounts[1]).differing == 1
    due()
    assert copy_of(ten[3], accounts[1]).read_bytes() == bytes([4]) * 300


def test_an_emptied_folder_is_taken_for_unreachable(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    shutil.rmtree(accounts[0].root)
    Path(accounts[0].root).mkdir()
    ask_for(TaskKind.RECONCILE, account=accounts[0])
    due()
    accounts[0].refresh_from_db()
    assert (accounts[0].paused_until or now()) > now()
    assert Replica.objects.count() == 20


@pytest.mark.parametrize(("lost", "believed"), [(2, True), (4, True), (5, False), (10, False)])
def test_a_large_loss_is_not_believed(
    ten: list[VideoStore], accounts: list[StorageAccount], lost: int, believed: bool
) -> None:
    for video in ten[:lost]:
        copy_of(video, accounts[0]).unlink()
    stray(accounts[0])  # it isn't empty
    assert look(accounts[0]).unreachable is not believed
    assert Replica.objects.filter(account=1).count() == (10 - lost if believed else 10)
    assert ("unreachable" in events()) is not believed


def test_a_large_loss_is_accepted_when_an_operator_says_so(
    ten: list[VideoStore], accounts: list[StorageAccount], capsys: Output
) -> None:
    for video in ten:
        copy_of(video, accounts[0]).unlink()
    stray(accounts[0])
    run(1, "reconcile", "--account", "1", "--json")
    assert json.loads(capsys.readouterr().out)[0]["unreachable"] is True
    assert Replica.objects.count() == 20
    StorageAccount.objects.update(paused_until=None)
    run(0, "reconcile", "--account", "1", "--accept-loss")
    assert Replica.objects.filter(account=1).count() == 0
    due()
    assert {(episode, 1) for episode in range(1, 11)} <= copies()


def test_a_loss_is_accepted_for_one_account_only(ten: list[VideoStore]) -> None:
    with pytest.raises(CommandError, match="--account"):
        call_command("reconcile", "--accept-loss")


def test_a_copy_made_while_the_list_was_read_is_not_missed(
    ten: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    copy_of(ten[0], accounts[0]).unlink()
    Replica.objects.filter(account=1, stored_file=file_of(ten[0])).update(created_at=now() + timedelta(seconds=60))
    assert (look(accounts[0]).missing, len(copies())) == (0, 20)


# --- objects without rows ---


def test_a_copy_that_lost_its_row_counts_again(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    Replica.objects.filter(stored_file=file_of(ten[2]), account=2).delete()
    assert look(accounts[1]).adopted == 1
    assert (3, 2) in copies()
    assert (events(), Orphan.objects.count()) == (["adopted"], 0)


def test_bytes_of_the_right_length_are_not_taken_for_the_copy(
    ten: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    Replica.objects.filter(stored_file=file_of(ten[2]), account=2).delete()
    flip(copy_of(ten[2], accounts[1]))
    assert look(accounts[1]).adopted == 0
    assert (3, 2) not in copies()


def test_what_an_older_client_stored_is_no_orphan(accounts: list[StorageAccount]) -> None:
    stray(accounts[0], "55825/ep7/k7.mp4")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT upsert_video_store(55825, 7, 'a', NULL, 'k7', 1, 'local1/weaboo-55825', '55825/ep7/k7.mp4', '', '')"
        )
    assert look(accounts[0]).orphans == 0


def test_a_repositorys_own_files_are_no_orphans(accounts: list[StorageAccount]) -> None:
    stray(accounts[0], "README.md")
    assert look(accounts[0]).orphans == 0


def test_what_a_job_in_work_has_stored_is_no_orphan(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    enqueue(ten[0], "uploading")
    stray(accounts[0], "55825/ep1/new.mp4")
    assert look(accounts[0]).orphans == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE video_queue SET status = 'failed'")
    assert look(accounts[0]).orphans == 1


# --- orphans ---


def test_an_orphan_goes_in_two_phases(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    place = stray(accounts[0])
    assert look(accounts[0]).orphans == 1
    orphan = Orphan.objects.get()
    assert (confirm_orphans([orphan.pk], "ann"), tasks()) == (0, [])
    a_day_later()
    assert confirm_orphans([orphan.pk], "ann") == 0, "seen only once"
    look(accounts[0])
    assert place.exists()
    assert confirm_orphans([orphan.pk], "ann") == 1
    due()
    assert not place.exists()
    assert (Orphan.objects.count(), events(), len(copies())) == (0, ["removed"], 20)


def test_an_orphan_that_is_gone_is_forgotten(accounts: list[StorageAccount]) -> None:
    place = stray(accounts[0])
    look(accounts[0])
    place.unlink()
    stray(accounts[0], "55825/ep98/other.mp4")
    assert look(accounts[0]).forgotten_orphans == 1
    assert Orphan.objects.get().path == "55825/ep98/other.mp4"


def test_an_orphan_that_a_video_has_by_now_stays(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    replica = Replica.objects.get(stored_file=file_of(ten[0]), account=1)
    orphan = Orphan.objects.create(
        account=accounts[0], repo=file_of(ten[0]).repo, path=file_of(ten[0]).path, size=1, seen_at=now()
    )
    Orphan.objects.update(found_at=now() - timedelta(days=2))
    assert confirm_orphans([orphan.pk], "ann") == 1
    due()
    assert copy_of(ten[0], accounts[0]).exists()
    assert events() == ["kept"]
    assert Replica.objects.filter(pk=replica.pk).exists()


def test_orphans_are_listed_and_confirmed_by_hand(accounts: list[StorageAccount], capsys: Output) -> None:
    place = stray(accounts[0])
    look(accounts[0])
    run(0, "orphans", "--json")
    assert json.loads(capsys.readouterr().out)["state"] == "seen too lately"
    run(0, "orphans", "--confirm", str(Orphan.objects.get().pk))
    assert "0 orphans" in capsys.readouterr().out
    a_day_later()
    look(accounts[0])
    run(0, "orphans", "--confirm", "--all", "--json")
    assert json.loads(capsys.readouterr().out) == {"confirmed": 1, "left": 0, "needed_for_rebuild": 0}
    run(0, "orphans", "--account", "1")
    assert "being removed" in capsys.readouterr().out
    due()
    assert not place.exists()


@pytest.mark.parametrize("arguments", [["1"], ["--all"], ["--confirm"], ["--confirm", "--all", "1"]])
def test_orphans_are_not_removed_by_half_an_order(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="--confirm"):
        call_command("orphans", *arguments)


# --- removal ---


def test_a_removal_waits_while_something_is_stored_there(ten: list[VideoStore], accounts: list[StorageAccount]) -> None:
    file = file_of(ten[0])
    Replica.objects.filter(stored_file=file).delete()
    enqueue(ten[0], "uploading")
    ask_for(TaskKind.REMOVE, account=accounts[0], repo=file.repo, path=file.path)
    due()
    assert copy_of(ten[0], accounts[0]).exists()
    assert (StorageTask.objects.get().attempts, tasks()) == (0, ["remove"])


def test_a_removal_is_tried_until_the_account_answers(accounts: list[StorageAccount], tmp_path: Path) -> None:
    place = stray(accounts[0])
    hidden = Path(accounts[0].root).rename(tmp_path / "hidden")
    Path(accounts[0].root).write_text("not a folder")
    ask_for(TaskKind.REMOVE, account=accounts[0], repo="weaboo-55825", path="55825/ep99/stray.mp4")
    due()
    assert StorageTask.objects.get().attempts == 1
    Path(accounts[0].root).unlink()
    hidden.rename(accounts[0].root)
    StorageAccount.objects.update(paused_until=None)
    StorageTask.objects.update(not_before=now())
    due()
    assert not place.exists()
    assert tasks() == []


# --- verify and replicate by hand ---


def test_copies_are_verified_by_hand(ten: list[VideoStore], accounts: list[StorageAccount], capsys: Output) -> None:
    flip(copy_of(ten[0], accounts[1]))
    run(1, "verify", str(ten[0].pk), "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["account"]: line["state"] for line in lines} == {1: "good", 2: "bad"}
    due()
    run(0, "verify", ten[0].file_key, "--quick")
    run(0, "verify", "--account", "2")
    assert capsys.readouterr().out.count("good") == 12


def test_copies_are_asked_for_by_hand(ten: list[VideoStore], capsys: Output) -> None:
    Replica.objects.filter(account=2, stored_file=file_of(ten[0])).delete()
    run(0, "replicate", file_of(ten[0]).path)
    run(0, "replicate", "--all", "--json")
    assert capsys.readouterr().out == '1 files asked for.\n{"asked": 0}\n'
    assert StorageTask.objects.get().actor == "manage.py"
    due()
    assert len(copies()) == 20


@pytest.mark.parametrize(
    "arguments",
    [["verify"], ["verify", "nobody"], ["verify", "--account", "9"], ["replicate"], ["replicate", "nobody"]],
)
def test_an_order_without_a_subject_is_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command(*arguments)
