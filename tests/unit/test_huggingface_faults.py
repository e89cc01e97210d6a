"""What goes wrong at a Hugging Face account: commits, broken servers and broken content."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from storage_app.backends.base import (
    ContentMismatchError,
    ObjectMissingError,
    StorageUnavailableError,
)
from storage_app.backends.huggingface import HuggingFaceBackend
from tests.servers.hub import (
    CutUpload,
    Damage,
    Empty,
    Hub,
    LoseAnswer,
    Refuse,
    Silence,
    WrongHash,
    WrongSize,
    busy,
    forbidden,
    stale,
)
from tests.unit.huggingface import PATH, REPO, account, commits, file_of, put, random_bytes, ready


@pytest.fixture(params=["xet", "lfs"])
def backend(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> HuggingFaceBackend:
    return ready(hub, tmp_path, request.param)


# Commits that collide or get lost


@pytest.mark.parametrize("answer", [busy(2), stale(2), Refuse(times=2, code=503), Refuse(times=2, code=500)])
def test_a_commit_in_the_way_is_waited_for(hub: Hub, tmp_path: Path, answer: Refuse) -> None:
    backend, file = ready(hub, tmp_path, "xet"), file_of(tmp_path, random_bytes(50_000))
    before = hub.received("ann").copy()
    hub.misbehave("commit", replace(answer))
    put(backend, file)
    assert len(commits(hub)) == 1
    assert (hub.received("ann") - before)["xorb"] < 60_000  # sent once


def test_commits_that_are_always_in_the_way_are_left_for_later(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "lfs"), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave("commit", busy(100))
    with pytest.raises(StorageUnavailableError, match="commit"):
        put(backend, file)
    hub.misbehave("commit")
    put(backend, file)
    assert hub.received("ann")["lfs"] == 51_000


def test_a_commit_whose_answer_got_lost_is_not_made_twice(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path
) -> None:
    file = file_of(tmp_path, random_bytes(50_000))
    hub.misbehave("commit", LoseAnswer(times=1))
    put(backend, file)
    assert len(commits(hub)) == 1
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_a_commit_that_was_lost_on_its_way_is_made_again(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    hub.misbehave("commit", CutUpload(times=1, after=10))
    put(backend, file_of(tmp_path, random_bytes(50_000)))
    assert len(commits(hub)) == 1


def test_a_delete_whose_answer_got_lost_is_a_delete(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(50_000)))
    hub.misbehave("commit", LoseAnswer(times=1))
    backend.delete(REPO, PATH)
    assert PATH not in hub.files("ann", REPO)


def test_a_delete_that_frees_no_room_is_a_delete(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(backend, file_of(tmp_path, random_bytes(50_000)))
    hub.misbehave("lfs-delete", forbidden())
    backend.delete(REPO, PATH)
    assert PATH not in hub.files("ann", REPO)
    assert "still takes room" in caplog.text


def test_a_hub_that_is_silent_is_given_up(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "lfs", timeout=0.3)
    hub.misbehave("commit", Silence())
    hub.misbehave("paths-info", Silence())
    with pytest.raises(StorageUnavailableError, match="in time"):
        put(backend, file_of(tmp_path, random_bytes(1000)))


@pytest.mark.parametrize("times", [2, 100])
def test_repositories_that_are_made_at_the_same_time_wait_for_each_other(hub: Hub, tmp_path: Path, times: int) -> None:
    backend, file = account(hub, "ann", tmp_path), file_of(tmp_path, random_bytes(1000))
    said = "Cannot create repo: another conflicting operation is in progress"
    hub.misbehave("create", Refuse(times=times, code=409, message=said))
    if times > 2:
        with pytest.raises(StorageUnavailableError):
            put(backend, file)
        hub.misbehave("create")
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


# What lies there is not what it should be


@pytest.mark.parametrize("claim", [WrongHash(), WrongSize(), Empty()])
def test_what_the_account_says_of_it_must_be_right(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path, claim: WrongHash | WrongSize | Empty
) -> None:
    hub.misbehave("paths-info", replace(claim))
    with pytest.raises(ContentMismatchError):
        put(backend, file_of(tmp_path, random_bytes(50_000)))


def test_bytes_that_arrive_damaged_are_noticed_by_lfs(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "lfs"), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave("put", Damage(times=1))
    with pytest.raises(ContentMismatchError, match="sha256"):
        put(backend, file)
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_bytes_that_arrive_damaged_are_noticed_by_xet(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "xet"), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave("xorb", Damage(times=1))
    with pytest.raises(StorageUnavailableError):
        put(backend, file)
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_a_file_that_has_changed_on_this_host_is_not_stored(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "lfs"), file_of(tmp_path, random_bytes(50_000))
    file.source.write_bytes(random_bytes(50_000))
    with pytest.raises(ContentMismatchError):
        put(backend, file)
    file.source.write_bytes(b"short")
    with pytest.raises(ContentMismatchError, match="changed on this host"):
        put(backend, file)
    file.source.unlink()
    with pytest.raises(StorageUnavailableError, match="no longer on this host"):
        put(backend, file)
    assert commits(hub) == []


def test_the_tail_is_read_back(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(200_000))
    put(backend, file)
    hub.corrupt("ann", REPO, PATH, at=199_999)
    with pytest.raises(ContentMismatchError, match="end of"):
        put(backend, file)


def test_a_flipped_bit_shows_when_it_is_read_back(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(200_000))
    put(backend, file)
    hub.corrupt("ann", REPO, PATH, at=1000)
    read = hashlib.sha256(b"".join(backend.open(REPO, PATH))).hexdigest()
    assert backend.stat(REPO, PATH).sha256 == file.sha256 != read


def test_a_flipped_bit_is_gone_once_it_was_deleted_and_put(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path
) -> None:
    file = file_of(tmp_path, random_bytes(200_000))
    put(backend, file)
    hub.corrupt("ann", REPO, PATH, at=1000)
    backend.delete(REPO, PATH)
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_an_object_that_was_deleted_by_others_comes_back(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(200_000))
    put(backend, file)
    hub.remove("ann", REPO, PATH)
    with pytest.raises(ObjectMissingError):
        backend.stat(REPO, PATH)
    with pytest.raises(ObjectMissingError):
        list(backend.open(REPO, PATH))
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_a_repository_that_was_deleted_by_others_comes_back(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path
) -> None:
    file = file_of(tmp_path, random_bytes(200_000))
    put(backend, file)
    hub.remove_repo("ann", REPO)
    with pytest.raises(ObjectMissingError):
        backend.stat(REPO, PATH)
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256
