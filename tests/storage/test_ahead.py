"""Sending a file that is still growing, on every kind of account."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from storage_app.backends.base import ObjectMissingError, Stopped
from tests.storage.cases import PATH, REPO, Case, Desk, Growing, pattern

MIB = 1024 * 1024
CONTENT = pattern(6 * MIB + 11)


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path / "growing", len(CONTENT))


def send(case: Case, growing: Growing, *, stopped: bool = False, length: int = len(CONTENT)) -> None:
    """Let it grow to `length` while it is sent; whatever comes of it, nothing can be seen yet."""
    with ThreadPoolExecutor(1) as threads:
        sending: Future[None] = threads.submit(case.backend.send_ahead, growing, REPO, PATH)
        for start in range(0, length, MIB):
            growing.add(CONTENT[start : min(start + MIB, length)])
        if stopped:
            growing.until_asked_beyond(length, sending.done)
            growing.stop()
        with suppress(Stopped):
            sending.result(30)
    assert list(case.backend.list()) == []
    with pytest.raises(ObjectMissingError):
        case.backend.stat(REPO, PATH)


def content_of(case: Case) -> bytes:
    return b"".join(case.backend.open(REPO, PATH))


def test_what_was_sent_ahead_is_there_after_the_put(case: Case, desk: Desk, growing: Growing) -> None:
    send(case, growing)
    seen: list[int] = []
    [stored] = case.backend.put([desk.file(CONTENT)], seen.append)
    assert (stored.size, content_of(case), seen[-1]) == (len(CONTENT), CONTENT, len(CONTENT))


def test_a_put_sends_the_rest_of_what_was_stopped_in_the_middle(case: Case, desk: Desk, growing: Growing) -> None:
    send(case, growing, stopped=True, length=2 * MIB)
    case.backend.put([desk.file(CONTENT)], lambda _: None)
    assert content_of(case) == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) - 1, len(CONTENT) + 1, 1000])
def test_another_content_than_what_was_sent_ahead_is_stored_as_it_is(
    case: Case, desk: Desk, growing: Growing, size: int
) -> None:
    send(case, growing)
    other = pattern(size, "other")
    case.backend.put([desk.file(other)], lambda _: None)
    assert content_of(case) == other


def test_a_file_may_be_sent_ahead_again_from_its_beginning(
    case: Case, desk: Desk, growing: Growing, tmp_path: Path
) -> None:
    send(case, growing, stopped=True, length=3 * MIB)
    send(case, Growing(tmp_path / "again", len(CONTENT)))
    case.backend.put([desk.file(CONTENT)], lambda _: None)
    assert content_of(case) == CONTENT


def test_what_was_sent_ahead_and_is_deleted_before_the_put_does_no_harm(
    case: Case, desk: Desk, growing: Growing
) -> None:
    send(case, growing)
    case.backend.delete(REPO, PATH)
    assert list(case.backend.list()) == []
    case.backend.put([desk.file(CONTENT)], lambda _: None)
    assert content_of(case) == CONTENT
