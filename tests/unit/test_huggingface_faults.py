"""What goes wrong at a Hugging Face account, and the class of failure that it ends in."""

from __future__ import annotations

import hashlib
import logging
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from storage_app.backends.base import (
    ContentMismatchError,
    ObjectMissingError,
    StorageAuthError,
    StorageError,
    StorageFullError,
    StorageRateError,
    StorageUnavailableError,
)
from storage_app.backends.huggingface import HuggingFaceBackend
from tests.servers.hub import (
    Cut,
    CutUpload,
    Damage,
    Empty,
    Hub,
    LoseAnswer,
    Refuse,
    Revoke,
    Silence,
    Stall,
    WrongHash,
    WrongSize,
    busy,
    forbidden,
    full,
    stale,
    too_many_requests,
)
from tests.servers.misbehaviour import NoRange
from tests.unit.huggingface import PATH, REPO, account, file_of, place, put, random_bytes

LFS_STEPS = ["preupload", "batch", "verify", "commit", "paths-info", "resolve"]
XET_STEPS = ["preupload", "xet-write-token", "commit", "paths-info", "resolve"]
STEPS = [*[("lfs", step) for step in LFS_STEPS], *[("xet", step) for step in XET_STEPS]]


@pytest.fixture(params=["xet", "lfs"])
def backend(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> HuggingFaceBackend:
    return ready(hub, tmp_path, request.param)


def ready(hub: Hub, folder: Path, way: str, timeout: float = 5.0) -> HuggingFaceBackend:
    """An account whose repository is there, so that the next put is an ordinary one."""
    backend = account(hub, "ann", folder, xet=way == "xet", timeout=timeout)
    put(backend, file_of(folder, random_bytes(1000), "55825/ep0/first.mp4"))
    return backend


def commits(hub: Hub) -> list[str]:
    """The titles of those that put the file of the tests."""
    return [commit.title for commit in hub.repo("ann", REPO).commits if PATH in commit.title]


# Credentials


@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_a_wrong_token_is_refused_without_being_shown(hub: Hub, tmp_path: Path, way: str) -> None:
    ready(hub, tmp_path, way)
    wrong = HuggingFaceBackend(replace(place(hub, "ann", tmp_path, xet=way == "xet"), token="hf_wrongwrongwrong"))
    for attempt in (
        lambda: put(wrong, file_of(tmp_path, random_bytes(1000))),
        lambda: wrong.stat(REPO, PATH),
        lambda: list(wrong.open(REPO, PATH)),
        lambda: wrong.delete(REPO, PATH),
        lambda: list(wrong.list()),
        wrong.capacity,
    ):
        with pytest.raises(StorageAuthError, match="token of account ann") as caught:
            attempt()
        assert "wrongwrong" not in str(caught.value)


@pytest.mark.parametrize(("way", "step"), STEPS)
def test_a_token_that_is_revoked_in_the_middle_loses_nothing(hub: Hub, tmp_path: Path, way: str, step: str) -> None:
    backend, file = ready(hub, tmp_path, way), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave(step, Revoke(times=1))
    with pytest.raises(StorageAuthError):
        put(backend, file)
    hub.user("ann").token = backend.place.token
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256
    assert len(commits(hub)) == 1


def test_a_token_that_may_only_read_is_refused(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    hub.user("ann").read_only = True
    with pytest.raises(StorageAuthError, match="write permission"):
        put(backend, file_of(tmp_path, random_bytes(1000)))
    assert backend.stat(REPO, "55825/ep0/first.mp4").size == 1000


def test_a_revoked_token_in_the_middle_of_the_chunks_says_so(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "xet")
    hub.misbehave("xorb", Revoke(times=1), Refuse(code=403, message="Forbidden"))
    with pytest.raises(StorageAuthError, match="token of account ann"):
        put(backend, file_of(tmp_path, random_bytes(50_000)))


# Room


@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_an_account_that_is_full_says_so(hub: Hub, tmp_path: Path, way: str) -> None:
    hub.add_user("ann", private_quota=30_000)
    backend = ready(hub, tmp_path, way)
    with pytest.raises(StorageFullError, match=r"no room left.*storage limit reached"):
        put(backend, file_of(tmp_path, random_bytes(50_000)))
    hub.user("ann").private_quota = None
    put(backend, file_of(tmp_path, random_bytes(50_000)))


@pytest.mark.parametrize(("way", "step"), [one for one in STEPS if one[1] not in {"paths-info", "resolve"}])
def test_a_quota_that_is_hit_in_the_middle_is_one(hub: Hub, tmp_path: Path, way: str, step: str) -> None:
    backend, file = ready(hub, tmp_path, way), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave(step, full())
    with pytest.raises(StorageFullError):
        put(backend, file)
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_the_reason_that_the_chunk_store_keeps_to_itself_is_found(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "xet")
    hub.misbehave("xorb", Refuse(code=403, message="Forbidden"))
    hub.misbehave("xet-write-token", replace(full(), skip=1))
    with pytest.raises(StorageFullError, match="storage limit reached"):
        put(backend, file_of(tmp_path, random_bytes(50_000)))


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


# Too many requests, and answers of a broken server


@pytest.mark.parametrize(("way", "step"), STEPS)
def test_a_long_wait_is_left_to_the_queue(hub: Hub, tmp_path: Path, way: str, step: str) -> None:
    backend, file = ready(hub, tmp_path, way), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave(step, too_many_requests(300))
    with pytest.raises(StorageRateError) as caught:
        put(backend, file)
    assert caught.value.retry_after == 300
    put(backend, file)
    assert len(commits(hub)) == 1


def test_a_rate_limit_in_the_hubs_own_words_is_understood(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "lfs")
    limit = {"RateLimit": '"api";r=0;t=42', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
    hub.misbehave("paths-info", Refuse(times=1, code=429, headers=limit))
    with pytest.raises(StorageRateError) as caught:
        backend.stat(REPO, PATH)
    assert caught.value.retry_after == 42


def test_a_date_to_come_back_at_is_understood(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "lfs")
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    hub.misbehave("paths-info", Refuse(times=1, code=429, headers={"Retry-After": later}))
    with pytest.raises(StorageRateError) as caught:
        backend.stat(REPO, PATH)
    assert caught.value.retry_after == pytest.approx(600, abs=60)


def test_a_rate_limit_without_a_time_is_one_too(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "lfs")
    hub.misbehave("preupload", Refuse(times=1, code=429))
    with pytest.raises(StorageRateError) as caught:
        put(backend, file_of(tmp_path, random_bytes(1000)))
    assert caught.value.retry_after is None


@pytest.mark.parametrize(("way", "step"), STEPS)
def test_a_server_error_that_passes_does_no_harm(hub: Hub, tmp_path: Path, way: str, step: str) -> None:
    backend, file = ready(hub, tmp_path, way), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave(step, Refuse(times=1, code=502))
    put(backend, file)
    assert len(commits(hub)) == 1


def test_a_server_error_that_stays_is_an_outage(hub: Hub, backend: HuggingFaceBackend) -> None:
    hub.misbehave("paths-info", Refuse(code=500, message="boom"))
    with pytest.raises(StorageUnavailableError, match=r"500.*boom"):
        backend.stat(REPO, PATH)


@pytest.mark.parametrize("step", ["xorb", "shard"])
def test_a_chunk_store_that_stumbles_is_tried_again(hub: Hub, tmp_path: Path, step: str) -> None:
    backend, file = ready(hub, tmp_path, "xet"), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave(step, Refuse(times=1, code=503))
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_a_chunk_store_that_refuses_is_an_outage(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "xet"), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave("xorb", Refuse(code=400, message="bad"))
    with pytest.raises(StorageUnavailableError, match="broke off"):
        put(backend, file)
    hub.misbehave("xorb")
    put(backend, file)


def test_a_standstill_of_the_chunk_store_is_given_up(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "xet", timeout=0.5)
    hub.misbehave("xorb", Silence())
    with pytest.raises(StorageUnavailableError):
        put(backend, file_of(tmp_path, random_bytes(50_000)))
    hub.misbehave("xorb")
    put(account(hub, "ann", tmp_path), file_of(tmp_path, random_bytes(50_000)))


def test_an_upload_that_is_cut_off_goes_on(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(400_000))
    for step in ("put", "xorb"):
        hub.misbehave(step, CutUpload(times=1, after=100_000))
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_a_hub_that_is_not_there_is_an_outage(hub: Hub, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    hub.add_user("ann")
    backend = HuggingFaceBackend(replace(place(hub, "ann", tmp_path), endpoint=f"http://127.0.0.1:{port}"))
    with pytest.raises(StorageUnavailableError, match="can't be reached"):
        backend.stat(REPO, PATH)


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


# Reading


@pytest.mark.parametrize("fault", [Cut(times=2, after=60_000), Stall(times=2, after=60_000)])
def test_a_read_that_breaks_off_goes_on_at_the_same_byte(hub: Hub, tmp_path: Path, fault: Cut | Stall) -> None:
    backend, content = ready(hub, tmp_path, "xet", timeout=0.5), random_bytes(300_000)
    put(backend, file_of(tmp_path, content))
    hub.misbehave("cdn", replace(fault))
    served = hub.served["cdn"]
    assert b"".join(backend.open(REPO, PATH, 1000, 299_000)) == content[1000:299_000]
    assert hub.served["cdn"] - served < 300_000 + 2 * 65_536


def test_a_signed_url_that_has_expired_is_replaced(hub: Hub, tmp_path: Path) -> None:
    backend, content = ready(hub, tmp_path, "xet"), random_bytes(300_000)
    put(backend, file_of(tmp_path, content))
    hub.misbehave("cdn", Cut(times=1, after=100_000), Refuse(times=1, skip=1, code=403, message="expired"))
    resolved = hub.count("resolve")
    assert b"".join(backend.open(REPO, PATH)) == content
    assert hub.count("resolve") == resolved + 2


@pytest.mark.parametrize("start", [0, 100_000, 299_999])
def test_a_file_server_that_ignores_ranges_is_read_up_to_there(hub: Hub, tmp_path: Path, start: int) -> None:
    backend, content = ready(hub, tmp_path, "lfs"), random_bytes(300_000)
    put(backend, file_of(tmp_path, content))
    hub.misbehave("cdn", NoRange())
    assert b"".join(backend.open(REPO, PATH, start)) == content[start:]
    assert b"".join(backend.open(REPO, PATH, start, start + 10)) == content[start : start + 10]


def test_an_address_to_send_to_that_has_expired_is_an_outage(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "lfs"), file_of(tmp_path, random_bytes(50_000))
    hub.url_lifetime = 0
    with pytest.raises(StorageUnavailableError, match="signed address"):
        put(backend, file)
    hub.url_lifetime = 3600
    put(backend, file)


def test_a_file_server_that_refuses_what_was_just_signed_is_an_outage(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "xet")
    hub.url_lifetime = 0
    with pytest.raises(StorageUnavailableError, match="403"):
        list(backend.open(REPO, "55825/ep0/first.mp4"))


def test_a_file_that_is_replaced_while_it_is_read_is_not_mixed(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "lfs")
    put(backend, file_of(tmp_path, random_bytes(300_000)))
    hub.misbehave("cdn", Cut(times=1, after=100_000), Refuse(times=1, skip=1, code=403))
    reading = backend.open(REPO, PATH)
    next(reading)
    hub.repo("ann", REPO).head.files[PATH] = hub.repo("ann", REPO).head.files["55825/ep0/first.mp4"]
    with pytest.raises(ContentMismatchError, match="replaced"):
        list(reading)


# Clocks, words and logs


def test_clocks_that_differ_are_no_trouble(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    hub.clock_ahead = -7200
    hub.token_lifetime = 20  # to a host two hours ahead a permission of an hour looks like one that has run out
    file = file_of(tmp_path, random_bytes(100_000))
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_a_refusal_by_a_hub_of_another_time_names_the_clock(hub: Hub, backend: HuggingFaceBackend) -> None:
    hub.clock_ahead = -7200
    hub.misbehave("paths-info", Refuse(code=401, message="Invalid credentials in Authorization header"))
    with pytest.raises(StorageAuthError, match="clock is 120 minutes ahead of"):
        backend.stat(REPO, PATH)


def test_no_secret_is_said(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = f"no {backend.place.token} at {hub.endpoint}/x?signature=abc, Bearer {'s' * 30}"
    for step in ("put", "xorb", "preupload"):
        hub.misbehave(step, Refuse(code=400, message=said))
    with pytest.raises(StorageError) as caught:
        put(backend, file_of(tmp_path, random_bytes(50_000)))
    hub.misbehave("preupload")
    with pytest.raises(StorageError) as again:
        put(backend, file_of(tmp_path, random_bytes(50_000)))
    everything = f"{caught.value} {again.value} {caplog.text}"
    assert not [secret for secret in (backend.place.token, "signature=", "sssss") if secret in everything]
    assert again.value.__suppress_context__


def test_forbidden_is_not_taken_for_full(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    hub.misbehave("preupload", forbidden())
    with pytest.raises(StorageAuthError, match="write token"):
        put(backend, file_of(tmp_path, random_bytes(1000)))
