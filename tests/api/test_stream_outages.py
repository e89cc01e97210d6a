"""GET /stream while accounts are out of order: viewers wait for them once, and never for each other."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils.timezone import now

from storage_app.backends import backend_for, hub_place
from storage_app.backends.base import StoredObject
from storage_app.backends.local import LocalBackend
from storage_app.backends.s3 import S3Backend
from storage_app.models import StorageAccount
from storage_app.playback import copies
from storage_app.playback.copies import AsyncBody, Copy, CopyReader, LocalCopy, RemoteCopy
from storage_app.playback.ranges import ByteRange
from tests.api.test_stream_accounts import body, desk, get, hub_account, local_account, s3_account, store
from tests.archive import CONTENT
from tests.servers.s3_faults import S3Faults, Stall
from tests.storage.cases import Desk

__all__ = ["desk", "hub_account", "local_account", "s3_account"]
SIZE = len(CONTENT)
WHOLE = ByteRange(0, SIZE)


@dataclass
class Hanging:
    """An account that answers nothing before the gate is opened."""

    gate: threading.Event
    asked: list[str] = field(default_factory=list)
    after: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def stat(self, repo: str, path: str) -> StoredObject:
        self.asked.append("stat")
        return StoredObject(SIZE, None)

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self.asked.append("open")
        try:
            if self.after:
                yield CONTENT[start : start + self.after]
            self.gate.wait(60)
            yield b"too late"
        finally:
            self.closed.set()

    def copy(self) -> RemoteCopy:
        return RemoteCopy("The copy", lambda: self, "repo", "path", "", uuid.uuid4())  # type: ignore[arg-type,return-value]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def local_copy(folder: Path) -> LocalCopy:
    place = folder / "folder" / "weaboo-1" / "1.mp4"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    return LocalCopy("The folder", LocalBackend(folder / "folder", in_use=True), "weaboo-1", "1.mp4")


def read_all(reader: CopyReader) -> bytes:
    try:
        return b"".join(iter(reader.read, b""))
    finally:
        reader.close()


def test_players_wait_for_a_shorter_time_than_uploads(
    s3_account: StorageAccount, hub_account: StorageAccount, settings: Any
) -> None:
    settings.STORAGE_TIMEOUT = 60
    bucket, hurried = backend_for(s3_account), backend_for(s3_account, timeout=3)
    assert isinstance(bucket, S3Backend)
    assert isinstance(hurried, S3Backend)
    assert (bucket.bucket.timeout, hurried.bucket.timeout) == (60, 3)
    assert hurried.bucket.attempts < bucket.bucket.attempts
    assert (hub_place(hub_account).timeout, hub_place(hub_account, 3).timeout) == (60, 3)


def test_an_account_that_is_paused_is_asked_last(
    s3_account: StorageAccount, local_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account, local_account)
    StorageAccount.objects.filter(pk=s3_account.pk).update(
        paused_until=now() + timedelta(hours=1), pause_reason="Bucket films can't be reached."
    )
    before = len(s3_faults.requests)
    assert body(get()) == CONTENT
    assert len(s3_faults.requests) == before


@pytest.mark.parametrize(
    ("reason", "ends"), [("It has no room left.", timedelta(hours=1)), ("It can't be reached.", timedelta(hours=-1))]
)
def test_a_full_account_and_one_whose_pause_is_over_serve_all_the_same(
    s3_account: StorageAccount,
    local_account: StorageAccount,
    s3_faults: S3Faults,
    desk: Desk,
    reason: str,
    ends: timedelta,
) -> None:
    store(desk, s3_account, local_account)
    StorageAccount.objects.filter(pk=s3_account.pk).update(paused_until=now() + ends, pause_reason=reason)
    before = s3_faults.count("GetObject")
    assert body(get()) == CONTENT
    assert s3_faults.count("GetObject") > before


def test_a_primary_that_falls_silent_is_waited_for_once_and_not_with_every_seek(
    s3_account: StorageAccount, local_account: StorageAccount, s3_faults: S3Faults, desk: Desk, settings: Any
) -> None:
    store(desk, s3_account, local_account)
    settings.STORAGE_TIMEOUT = 0.3
    s3_faults.misbehave("GetObject", Stall(times=99))
    assert body(get(Range="bytes=100-")) == CONTENT[100:]
    before = len(s3_faults.requests)
    assert body(get(Range="bytes=700000-")) == CONTENT[700000:]
    assert len(s3_faults.requests) == before


def test_a_copy_that_failed_is_asked_again_when_it_is_the_only_one(
    s3_account: StorageAccount, s3_faults: S3Faults, desk: Desk, settings: Any
) -> None:
    store(desk, s3_account)
    settings.STORAGE_TIMEOUT = 0.3
    s3_faults.misbehave("GetObject", Stall(times=99))
    assert get().status_code == 503
    settings.STORAGE_TIMEOUT = 10
    s3_faults.misbehave("GetObject")
    assert body(get()) == CONTENT


@pytest.mark.parametrize("after", [0, 10])
def test_who_says_nothing_at_all_is_left_in_time_and_let_go_of_later(
    gate: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(copies, "OPENING_SECONDS", 0.3)
    monkeypatch.setattr(copies, "READING_SECONDS", 0.3)
    account = Hanging(gate, after=after)
    both: list[Copy] = [account.copy(), local_copy(tmp_path)]
    assert read_all(CopyReader(both, SIZE, WHOLE)) == CONTENT
    assert read_all(CopyReader(both, SIZE, ByteRange(9, 99))) == CONTENT[9:99]
    assert account.asked == ["stat", "open"]
    assert not account.closed.is_set()
    gate.set()
    assert account.closed.wait(30)


def test_many_viewers_of_an_account_that_hangs_hold_up_nobody_else(gate: threading.Event, tmp_path: Path) -> None:
    account = Hanging(gate, after=10)
    hanging = [CopyReader([account.copy()], SIZE, WHOLE) for _ in range(40)]
    here = CopyReader([local_copy(tmp_path)], SIZE, WHOLE)

    async def watch(reader: CopyReader) -> bytes:
        return b"".join([piece async for piece in AsyncBody(reader)])

    async def all_of_them() -> tuple[bytes, bool]:
        others = [asyncio.ensure_future(watch(reader)) for reader in hanging]
        try:
            await asyncio.sleep(0)
            content = await asyncio.wait_for(watch(here), 20)
            return content, any(other.done() for other in others)
        finally:
            gate.set()
            await asyncio.gather(*others, return_exceptions=True)

    began = time.monotonic()
    content, over = asyncio.run(all_of_them())
    assert hashlib.sha256(content).digest() == hashlib.sha256(CONTENT).digest()
    assert not over
    assert time.monotonic() - began < 20
