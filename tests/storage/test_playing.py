"""Playing copies that lie on any kind of account."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import Any

import pytest

from storage_app.backends.base import RemoteBackend
from storage_app.backends.local import LocalBackend
from storage_app.playback.copies import Copy, LocalCopy, NoCopyLeft, find_present, whole
from storage_app.playback.ranges import ByteRange
from storage_app.playback.remote import RemoteCopy
from storage_app.playback.threads import pool
from tests.playing import answer_of, bytes_of
from tests.servers.hub import Cut, Hub
from tests.servers.s3_faults import S3Faults
from tests.storage.cases import PATH, REPO, Case, Desk, pattern
from tests.storage.conftest import CASES
from tests.storage.hub_case import HubCase
from tests.storage.s3_case import S3Case

CONTENT = pattern(3_000_017)
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WHOLE = ByteRange(0, SIZE)


def copy_on(backend: Any, path: str = PATH, sha256: str = SHA256) -> Copy:
    if isinstance(backend, LocalBackend):
        return LocalCopy("The copy", 1, backend, REPO, path)
    return remote(lambda: backend, path, sha256)


def remote(connect: Any, path: str = PATH, sha256: str = SHA256) -> RemoteCopy:
    account = uuid.uuid4()
    return RemoteCopy("The copy", 1, "s3", "", connect, REPO, path, sha256, uuid.uuid4(), account, 8.0)


def play(*copies: Copy, wanted: ByteRange = WHOLE) -> bytes:
    return asyncio.run(bytes_of(copies, SIZE, wanted))


@pytest.fixture
def stored(case: Case, desk: Desk) -> Case:
    case.backend.put([desk.file(CONTENT)], lambda _: None)
    return case


elsewhere = pytest.mark.parametrize("case", [name for name in CASES if name != "local"], indirect=True)
"""Only accounts that aren't folders of this host."""


def break_off(request: pytest.FixtureRequest, case: Case, *what: Cut) -> None:
    """Of what the account sends of the object."""
    if isinstance(case, S3Case):
        faults: S3Faults = request.getfixturevalue("s3_faults")
        faults.misbehave("GetObject", *what)
    else:
        hub: Hub = request.getfixturevalue("hub")
        hub.misbehave("cdn", *what)


@pytest.mark.parametrize("wanted", [WHOLE, ByteRange(0, 1), ByteRange(1_000_000, 2_000_001), ByteRange(SIZE - 1, SIZE)])
def test_it_plays_byte_for_byte(stored: Case, wanted: ByteRange) -> None:
    assert play(copy_on(stored.backend), wanted=wanted) == CONTENT[wanted.start : wanted.stop]


@pytest.mark.parametrize("after", [0, 1, 524_288, 2_999_999])
@elsewhere
def test_where_an_account_breaks_off_the_next_copy_goes_on(
    request: pytest.FixtureRequest, stored: Case, after: int
) -> None:
    first, second = copy_on(stored.backend), copy_on(stored.backend)
    break_off(request, stored, Cut(times=1, after=after))
    assert play(first, second, wanted=ByteRange(7, SIZE)) == CONTENT[7:]


@elsewhere
def test_the_only_copy_is_tried_again_where_it_broke_off(request: pytest.FixtureRequest, stored: Case) -> None:
    copy = copy_on(stored.backend)
    break_off(request, stored, Cut(times=4, after=500_000))
    assert play(copy) == CONTENT


@elsewhere
def test_when_every_account_breaks_off_so_does_the_answer(request: pytest.FixtureRequest, stored: Case) -> None:
    copies = [copy_on(stored.backend), copy_on(stored.backend)]
    break_off(request, stored, Cut(times=1, after=500_000), Cut(skip=1))

    came = []

    async def watch() -> None:
        async for piece in await answer_of(copies, SIZE):
            came.append(piece)

    with pytest.raises(NoCopyLeft):
        asyncio.run(watch())
    assert b"".join(came) == CONTENT[:500_000]


def test_missing_objects_are_passed_over(stored: Case) -> None:
    assert play(copy_on(stored.backend, "1/other.mp4"), copy_on(stored.backend)) == CONTENT


def test_something_else_in_its_place_is_passed_over(stored: Case, desk: Desk) -> None:
    stored.backend.put([desk.file(CONTENT[:-1], "1/short.mp4")], lambda _: None)
    with pytest.raises(NoCopyLeft):
        play(copy_on(stored.backend, "1/short.mp4"))


@elsewhere
def test_another_content_of_the_same_size_is_passed_over(stored: Case, desk: Desk) -> None:
    stored.backend.put([desk.file(CONTENT[::-1], "1/other.mp4")], lambda _: None)
    with pytest.raises(NoCopyLeft):
        play(copy_on(stored.backend, "1/other.mp4"), wanted=ByteRange(5, 9))


def test_an_account_that_refuses_us_or_is_out_of_reach_is_passed_over(stored: Case) -> None:
    for trouble in (stored.denied, stored.unreachable):
        with trouble() as backend:
            pool.cache_clear()  # threads have the rights that whoever started them had then
            with pytest.raises(NoCopyLeft):
                play(copy_on(backend))
    pool.cache_clear()
    assert play(copy_on(stored.backend)) == CONTENT


def test_a_small_file_is_had_as_a_whole(stored: Case) -> None:
    assert whole([copy_on(stored.backend, "1/other.mp4"), copy_on(stored.backend)], SIZE) == CONTENT
    with pytest.raises(NoCopyLeft):
        whole([copy_on(stored.backend, "1/other.mp4")], SIZE)


def test_a_text_that_lies_with_the_account_itself_plays_as_well(case: Case, desk: Desk) -> None:
    text = b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n"
    case.backend.put([desk.file(text, "1/a.vtt")], lambda _: None)
    copy = copy_on(case.backend, "1/a.vtt", hashlib.sha256(text).hexdigest())
    assert asyncio.run(bytes_of([copy], len(text), ByteRange(3, 20))) == text[3:20]


def test_who_only_asks_whether_it_is_there_connects_to_nobody(stored: Case) -> None:
    def connect() -> RemoteBackend:
        raise AssertionError("Nobody may connect.")

    failed: list[Copy] = []
    assert asyncio.run(find_present([remote(connect)], SIZE, failed.append))
    assert not asyncio.run(find_present([], SIZE, failed.append))
    assert failed == []


def test_an_object_that_vanishes_later_is_passed_over_all_the_same(stored: Case) -> None:
    copy = copy_on(stored.backend)
    assert play(copy) == CONTENT
    stored.vanish(REPO, PATH)
    if isinstance(stored, HubCase):
        copy = copy_on(stored.backend)  # the URL that was signed leads to a commit, where the same bytes still are
    with pytest.raises(NoCopyLeft):
        play(copy)


def test_errors_and_names_hold_no_secret(stored: Case, caplog: pytest.LogCaptureFixture) -> None:
    with stored.denied() as backend:
        pool.cache_clear()
        with pytest.raises(NoCopyLeft):
            play(copy_on(backend))
    pool.cache_clear()
    assert "left out" in caplog.text
    assert not any(secret in caplog.text for secret in stored.secrets)
