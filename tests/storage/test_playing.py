"""Playing copies that lie on any kind of account."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from storage_app.backends.base import Backend, StorageUnavailableError, StoredObject
from storage_app.playback.copies import CopyReader, NoCopyLeft, RemoteCopy, any_present
from storage_app.playback.ranges import ByteRange
from storage_app.playback.threads import pool
from tests.storage.cases import PATH, REPO, Case, Desk, pattern

CONTENT = pattern(3_000_017)
SIZE = len(CONTENT)
WHOLE = ByteRange(0, SIZE)


def copy_on(backend: Backend, path: str = PATH) -> RemoteCopy:
    return RemoteCopy("The copy", lambda: backend, REPO, path, hashlib.sha256(CONTENT).hexdigest(), uuid.uuid4())


def play(*copies: RemoteCopy, wanted: ByteRange = WHOLE) -> bytes:
    reader = CopyReader(copies, SIZE, wanted)
    try:
        return b"".join(iter(reader.read, b""))
    finally:
        reader.close()


@dataclass
class Flaky:
    """An account that breaks off after so many bytes of every answer; 0: it doesn't answer at all."""

    backend: Backend
    length: int
    opened: list[int] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None
    asked: int = 0

    def stat(self, repo: str, path: str) -> StoredObject:
        self.asked += 1
        return self.backend.stat(repo, path)

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self.opened.append(start)
        try:
            if self.length:
                yield b"".join(self.backend.open(repo, path, start, start + self.length))
            if self.gate:
                self.waiting.set()
                self.gate.wait(30)
            raise StorageUnavailableError("The account broke off.")
        finally:
            self.closed.set()


def flaky(case: Case, length: int, gate: threading.Event | None = None) -> tuple[Flaky, RemoteCopy]:
    account = Flaky(case.backend, length, gate=gate)
    return account, copy_on(account)  # type: ignore[arg-type]


@pytest.fixture
def stored(case: Case, desk: Desk) -> Case:
    case.backend.put([desk.file(CONTENT)], lambda _: None)
    return case


@pytest.mark.parametrize("wanted", [WHOLE, ByteRange(0, 1), ByteRange(1_000_000, 2_000_001), ByteRange(SIZE - 1, SIZE)])
def test_it_plays_byte_for_byte(stored: Case, wanted: ByteRange) -> None:
    assert play(copy_on(stored.backend), wanted=wanted) == CONTENT[wanted.start : wanted.stop]


@pytest.mark.parametrize("length", [0, 1, 524_288, 524_289, 2_999_999])
def test_where_one_account_breaks_off_the_next_goes_on(stored: Case, length: int) -> None:
    account, first = flaky(stored, length)
    assert play(first, copy_on(stored.backend), wanted=ByteRange(7, SIZE)) == CONTENT[7:]
    assert account.opened == [7]
    assert account.closed.is_set()


def test_missing_objects_are_passed_over(stored: Case) -> None:
    assert play(copy_on(stored.backend, "1/other.mp4"), copy_on(stored.backend)) == CONTENT


def test_something_else_in_its_place_is_passed_over(stored: Case, desk: Desk) -> None:
    stored.backend.put([desk.file(CONTENT[:-1], "1/short.mp4")], lambda _: None)
    with pytest.raises(NoCopyLeft):
        play(copy_on(stored.backend, "1/short.mp4"))


def test_an_account_that_refuses_us_or_is_out_of_reach_is_passed_over(stored: Case) -> None:
    for trouble in (stored.denied, stored.unreachable):
        with trouble() as backend:
            pool.cache_clear()  # threads have the rights that whoever started them had then
            with pytest.raises(NoCopyLeft):
                play(copy_on(backend))
    pool.cache_clear()
    assert play(copy_on(stored.backend)) == CONTENT


def test_when_every_account_breaks_off_so_does_the_answer(stored: Case) -> None:
    reader = CopyReader([flaky(stored, 10)[1], flaky(stored, 20)[1]], SIZE, WHOLE)
    assert [reader.read(), reader.read()] == [CONTENT[:10], CONTENT[10:30]]
    with pytest.raises(NoCopyLeft):
        reader.read()


def test_who_only_asks_whether_it_is_there_connects_to_nobody(stored: Case) -> None:
    def connect() -> Backend:
        raise AssertionError("Nobody may connect.")

    copy = RemoteCopy("The copy", connect, REPO, PATH, "0" * 64, uuid.uuid4())
    assert any_present([copy], SIZE)
    assert not any_present([], SIZE)


def test_its_size_is_asked_for_once_and_not_with_every_seek(stored: Case) -> None:
    account, copy = flaky(stored, SIZE)
    for start in (0, 1_000_000, 5):
        assert play(copy, wanted=ByteRange(start, start + 10)) == CONTENT[start : start + 10]
    assert (account.opened, account.asked) == ([0, 1_000_000, 5], 1)


def test_an_object_that_vanishes_later_is_passed_over_all_the_same(stored: Case) -> None:
    copy = copy_on(stored.backend)
    assert play(copy) == CONTENT
    stored.vanish(REPO, PATH)
    with pytest.raises(NoCopyLeft):
        play(copy)


def test_a_viewer_who_leaves_during_a_read_is_not_waited_for_and_leaves_no_connection(stored: Case) -> None:
    gate = threading.Event()
    account, copy = flaky(stored, 10, gate)
    reader = CopyReader([copy], SIZE, WHOLE)
    assert reader.read() == CONTENT[:10]
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(reader.read)
        assert account.waiting.wait(30)
        reader.close()
        gate.set()
        with suppress(NoCopyLeft):
            assert reading.result(30) == b""
    assert account.closed.is_set()
    assert reader.closed
