"""What a Hugging Face account refuses, and what it says then."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from storage_app.backends.base import (
    FileTooLargeError,
    StorageAuthError,
    StorageError,
    StorageFullError,
    StorageRateError,
    StorageUnavailableError,
)
from storage_app.backends.huggingface import HuggingFaceBackend
from tests.servers.hub import (
    CutUpload,
    Hub,
    Refuse,
    Revoke,
    Silence,
    forbidden,
    full,
    too_many_requests,
)
from tests.unit.huggingface import PATH, REPO, STEPS, account, commits, file_of, place, put, random_bytes, ready


@pytest.fixture(params=["xet", "lfs"])
def backend(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> HuggingFaceBackend:
    return ready(hub, tmp_path, request.param)


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


def test_a_file_that_is_too_large_leaves_room_for_smaller_ones(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "lfs"), file_of(tmp_path, random_bytes(50_000))
    hub.misbehave("commit", Refuse(code=413, message="Payload too large"))
    with pytest.raises(FileTooLargeError, match=r"as large as this one.*Payload too large"):
        put(backend, file)


def test_the_reason_that_the_chunk_store_keeps_to_itself_is_found(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "xet")
    hub.misbehave("xorb", Refuse(code=403, message="Forbidden"))
    hub.misbehave("xet-write-token", replace(full(), skip=1))
    with pytest.raises(StorageFullError, match="storage limit reached"):
        put(backend, file_of(tmp_path, random_bytes(50_000)))


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
