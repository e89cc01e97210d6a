"""A file reaches the accounts while it is still being downloaded, and never to the download's harm."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from queue_app.downloaders import Limits
from queue_app.failures import Cancelled, Failure
from queue_app.queue import Place
from queue_app.send_ahead import LINK, SendAhead
from storage_app.backends.base import (
    Backend,
    Capacity,
    FileToPut,
    GrowingFile,
    ListedObject,
    Progress,
    Stopped,
    StorageFullError,
    StoredObject,
)
from tests.servers.origin import Cut, Headers, Origin, Slow, Status
from tests.unit.downloads import Getter

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(8_000_000)
MATROSKA = b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" + VIDEO
PLACE = Place("weaboo-1", "1/ep1/k.mp4")
STEP = 100_000


class Reader:
    """An account that reads what is there of the growing file, and remembers when it had how much."""

    def __init__(self, error: Exception | None = None, fails_at: int = 1_000_000) -> None:
        self.error, self.fails_at = error, fails_at
        self.got: list[bytes] = []
        self.places: list[Place] = []
        self.ends: list[str] = []
        self.ended = threading.Event()

    def drop_ahead(self, repo: str, path: str) -> None:
        raise NotImplementedError

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None:
        self.places.append(Place(repo, path))
        self.got.append(b"")
        self.ended.clear()
        try:
            self._read(file)
        except Stopped:
            self.ends.append("stopped")
            raise
        finally:
            self.ended.set()

    def _read(self, file: GrowingFile) -> None:
        # Unbuffered: a buffer would keep bytes from beyond the front, which were not there yet when it was filled.
        with file.path.open("rb", buffering=0) as reader:
            while (position := reader.tell()) < file.size:
                there = file.wait(position, 0.1)
                self.got[-1] += reader.read(min(STEP, there - position))
                if self.error is not None and position >= self.fails_at:
                    raise self.error
        self.ends.append("whole")

    def put(self, files: Sequence[FileToPut], progress: Progress) -> list[StoredObject]:
        raise NotImplementedError

    def copy_from(self, other: Backend, file: FileToPut) -> StoredObject | None: ...

    def stat(self, repo: str, path: str) -> StoredObject:
        raise NotImplementedError

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        raise NotImplementedError

    def delete(self, repo: str, path: str) -> None:
        raise NotImplementedError

    def list(self, repo: str | None = None) -> Iterator[ListedObject]:
        raise NotImplementedError

    def capacity(self) -> Capacity:
        raise NotImplementedError

    def direct_url(self, repo: str, path: str) -> str | None: ...


class Hanging(Reader):
    """One that never asks whether it should go on."""

    let_go = threading.Event()

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None:
        self.let_go.wait(60)


@pytest.fixture
def url(origin: Origin) -> str:
    origin.put("/a.mp4", VIDEO)
    origin.misbehave("/a.mp4", Slow(bytes_per_second=4_000_000))
    return "/a.mp4"


@pytest.fixture
def get(origin: Origin, folder: Path) -> Getter:
    return Getter(origin, folder, Limits(max_bytes=10**9, connections=2, retry_wait=0.01))


@pytest.fixture
def ahead(tmp_path: Path) -> Iterator[SendAhead]:
    with SendAhead(tmp_path, PLACE) as running:
        yield running


def watched(get: Getter, ahead: SendAhead) -> Limits:
    return replace(get.limits, onlooker=ahead)


def test_most_of_a_file_has_been_read_when_its_last_byte_comes(get: Getter, ahead: SendAhead, url: str) -> None:
    reader, front = Reader(), 0

    def look(done: int, total: int | None) -> None:
        nonlocal front
        if done < len(VIDEO):
            front = len(reader.got[0]) if reader.got else 0

    ahead.send_to({1: reader})
    get(url, watched(get, ahead), look)
    assert front > len(VIDEO) / 2
    assert reader.ended.wait(10)
    assert (reader.got, reader.places, reader.ends) == ([VIDEO], [PLACE], ["whole"])


def test_who_is_named_in_the_middle_gets_the_whole_file_too(get: Getter, ahead: SendAhead, url: str) -> None:
    reader = Reader()

    def look(done: int, total: int | None) -> None:
        if done > len(VIDEO) / 2:
            ahead.send_to({1: reader})

    get(url, watched(get, ahead), look)
    assert reader.ended.wait(10)
    assert reader.got == [VIDEO]


@pytest.mark.parametrize("error", [StorageFullError("full"), OSError("a fault of ours")])
def test_an_account_that_fails_harms_neither_the_download_nor_the_others(
    get: Getter, ahead: SendAhead, url: str, error: Exception
) -> None:
    failing, other = Reader(error), Reader()
    ahead.send_to({1: failing, 2: other})
    assert get(url, watched(get, ahead)).size == len(VIDEO)
    assert other.ended.wait(10)
    assert (other.got, failing.ends) == ([VIDEO], [])


def test_a_hanging_account_holds_the_end_for_a_moment_only(get: Getter, tmp_path: Path, url: str) -> None:
    hanging = Hanging()
    with SendAhead(tmp_path, PLACE) as ahead:
        ahead.send_to({1: hanging})
        get(url, watched(get, ahead))
        done = time.monotonic()
    assert time.monotonic() - done < 5
    hanging.let_go.set()


def test_a_lost_lease_stops_it_at_once(get: Getter, ahead: SendAhead, url: str) -> None:
    reader = Reader()

    def lose(done: int, total: int | None) -> None:
        if done > len(VIDEO) / 4:
            raise Cancelled

    ahead.send_to({1: reader})
    with pytest.raises(Cancelled):
        get(url, watched(get, ahead), lose)
    assert reader.ends == ["stopped"]
    assert len(reader.got[0]) < len(VIDEO)


def test_a_failed_download_stops_it(origin: Origin, get: Getter, ahead: SendAhead, url: str, tmp_path: Path) -> None:
    origin.misbehave(url, Slow(bytes_per_second=4_000_000), Cut(after=3_000_000), Status(code=404, skip=1))
    reader = Reader()
    ahead.send_to({1: reader})
    with pytest.raises(Failure):
        get(url, replace(watched(get, ahead), connections=1))
    assert reader.ends == ["stopped"]
    assert not (tmp_path / LINK).exists()


def test_a_file_that_changes_is_sent_anew(origin: Origin, get: Getter, ahead: SendAhead, url: str) -> None:
    other = VIDEO[::-1]
    reader, changed = Reader(), False

    def change(done: int, total: int | None) -> None:
        nonlocal changed
        if not changed and done > len(VIDEO) / 4:
            origin.put(url, VIDEO[:40] + other)
            origin.misbehave(url)
            changed = True

    ahead.send_to({1: reader})
    whole = get(url, watched(get, ahead), change).path.read_bytes()
    assert reader.ended.wait(10)
    assert whole == VIDEO[:40] + other
    assert reader.got[-1] == whole
    assert reader.ends == ["stopped", "whole"]


def test_a_resumed_download_sends_what_it_has_at_once(origin: Origin, get: Getter, ahead: SendAhead, url: str) -> None:
    def lose(done: int, total: int | None) -> None:
        if done > len(VIDEO) / 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        get(url, progress=lose)
    reader = Reader()
    ahead.send_to({1: reader})
    assert get(url, watched(get, ahead)).resumed
    assert reader.ended.wait(10)
    assert reader.got == [VIDEO]


def test_what_is_not_kept_as_it_is_is_not_sent(origin: Origin, get: Getter, ahead: SendAhead) -> None:
    origin.put("/a.mkv", MATROSKA)
    reader = Reader()
    ahead.send_to({1: reader})
    get("/a.mkv", watched(get, ahead))
    assert reader.got == []


def test_a_file_of_unknown_size_is_sent_once_that_is_known(origin: Origin, get: Getter, ahead: SendAhead) -> None:
    origin.put("/a.mp4", VIDEO)
    origin.misbehave("/a.mp4", Headers(headers={"Content-Length": ""}))
    reader = Reader()
    ahead.send_to({1: reader})
    assert get("/a.mp4", watched(get, ahead)).size == len(VIDEO)
    assert reader.ended.wait(10)
    assert reader.got == [VIDEO]


def test_an_account_that_was_sent_to_rest_gets_no_more_and_the_others_do(
    get: Getter, ahead: SendAhead, url: str
) -> None:
    resting, other = Reader(), Reader()

    def rest(done: int, total: int | None) -> None:
        if done > len(VIDEO) / 2:
            ahead.leave([1])

    ahead.send_to({1: resting, 2: other})
    get(url, watched(get, ahead), rest)
    assert other.ended.wait(10)
    assert (resting.ends, other.ends) == (["stopped"], ["whole"])


def test_the_hand_over_ends_it_and_leaves_nothing(get: Getter, ahead: SendAhead, url: str, tmp_path: Path) -> None:
    reader = Reader()
    ahead.send_to({1: reader})
    get(url, watched(get, ahead))
    ahead.finish()
    assert reader.ends in (["stopped"], ["whole"])
    assert not (tmp_path / LINK).exists()
