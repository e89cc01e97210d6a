"""What `storage_app/backends/base.py` promises, asked of every kind of account."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from storage_app.backends.base import (
    Backend,
    ContentMismatchError,
    FileTooLargeError,
    FileToPut,
    ObjectMissingError,
    StorageAuthError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StoredObject,
)
from tests.storage.cases import PATH, REPO, Case, Desk, pattern

MIB = 1024 * 1024
CONTENT = pattern(3 * MIB + 17)
SIZE = len(CONTENT)
OTHER = pattern(MIB + 5, "other")


def put(backend: Backend, *files: FileToPut) -> list[StoredObject]:
    return backend.put(files, lambda _: None)


def content_of(backend: Backend, path: str = PATH, repo: str = REPO) -> bytes:
    return b"".join(backend.open(repo, path))


def listed(backend: Backend) -> list[tuple[str, str, int]]:
    return sorted((found.repo, found.path, found.size) for found in backend.list())


def is_missing(backend: Backend, path: str = PATH) -> bool:
    try:
        backend.stat(REPO, path)
    except ObjectMissingError:
        return True
    return False


# --- What is put is there ---


def test_what_is_put_comes_out_again(case: Case, desk: Desk) -> None:
    file = desk.file(CONTENT)
    [stored] = put(case.backend, file)
    found = case.backend.stat(REPO, PATH)
    assert (stored.size, found.size) == (SIZE, SIZE)
    assert {stored.sha256, found.sha256} <= {file.sha256, None}
    assert found.etag == stored.etag
    assert content_of(case.backend) == CONTENT


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (5, 6), (SIZE - 1, SIZE), (MIB - 1, MIB + 1), (MIB, None), (0, None), (SIZE - 1, None), (10, 2 * MIB),
     (0, SIZE)],
)  # fmt: skip
def test_a_range_is_these_bytes_and_no_others(case: Case, desk: Desk, start: int, end: int | None) -> None:
    put(case.backend, desk.file(CONTENT))
    assert b"".join(case.backend.open(REPO, PATH, start, end)) == CONTENT[start:end]


@pytest.mark.parametrize(("start", "end"), [(7, 7), (0, 0), (SIZE, None), (SIZE, SIZE + 5), (SIZE + 100, SIZE + 200)])
def test_an_empty_range_and_one_beyond_the_end_have_no_bytes(
    case: Case, desk: Desk, start: int, end: int | None
) -> None:
    put(case.backend, desk.file(CONTENT))
    assert b"".join(case.backend.open(REPO, PATH, start, end)) == b""


def test_a_range_that_goes_beyond_the_end_stops_there(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    assert b"".join(case.backend.open(REPO, PATH, SIZE - 9, SIZE + 1000)) == CONTENT[-9:]


def test_who_stops_reading_in_the_middle_does_no_harm(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    reading = iter(case.backend.open(REPO, PATH))
    assert CONTENT.startswith(next(reading))
    del reading
    assert content_of(case.backend) == CONTENT


def test_many_files_at_once_each_at_its_place(case: Case, desk: Desk) -> None:
    contents = {f"55825/ep{n}/{n:032x}.mp4": pattern(70_000 + n, str(n)) for n in range(5)}
    contents |= {"55825/ep1/captions.en.vtt": b"WEBVTT\n\n", "55825/ep1/about.json": b'{"schema": 1}'}
    stored = put(case.backend, *(desk.file(content, path) for path, content in contents.items()))
    assert [found.size for found in stored] == [len(content) for content in contents.values()]
    assert {path: content_of(case.backend, path) for path in contents} == contents
    assert listed(case.backend) == sorted((REPO, path, len(content)) for path, content in contents.items())


def test_one_put_may_fill_several_repositories(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(OTHER, repo="weaboo-1"), desk.file(CONTENT, repo="weaboo-2"))
    assert listed(case.backend) == [("weaboo-1", PATH, len(OTHER)), ("weaboo-2", PATH, SIZE)]
    assert [found.path for found in case.backend.list("weaboo-2")] == [PATH]


@pytest.mark.parametrize(
    "path",
    ["1/ep1/Ünïcödé – 日本語.mp4", "1/a b+c&d=e%20f#g.mp4", "1/it's \"so\" (1)[2]{3}.mp4", "1/100%.mp4",
     "1/~x,y;z@.mp4", "1/" + "n" * 200 + ".mp4", "e\N{COMBINING ACUTE ACCENT}.mp4"],
)  # fmt: skip
def test_odd_names_are_kept_as_they_are(case: Case, desk: Desk, path: str) -> None:
    put(case.backend, desk.file(OTHER, path))
    assert content_of(case.backend, path) == OTHER
    assert listed(case.backend) == [(REPO, path, len(OTHER))]
    case.backend.delete(REPO, path)
    assert is_missing(case.backend, path)


@pytest.mark.parametrize("path", ["../x.mp4", "a/../../x.mp4", "/x.mp4", "a//x.mp4", "", "a/./x.mp4", "a\0.mp4", "a/"])
def test_no_name_leads_out_of_the_account(case: Case, desk: Desk, path: str) -> None:
    with pytest.raises(StorageError):
        put(case.backend, desk.file(OTHER, path))
    assert listed(case.backend) == []


# --- Again, and anew ---


def test_the_same_content_again_is_not_sent_again(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    before = case.trace(REPO, PATH)
    [stored] = put(case.backend, desk.file(CONTENT))
    assert (stored.size, case.trace(REPO, PATH)) == (SIZE, before)


def test_of_several_files_only_what_is_missing_is_sent(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    put(case.backend, desk.file(CONTENT), desk.file(OTHER, "1/b.mp4"))
    assert (content_of(case.backend), content_of(case.backend, "1/b.mp4")) == (CONTENT, OTHER)


def test_another_content_takes_its_place(case: Case, desk: Desk) -> None:
    [first] = put(case.backend, desk.file(CONTENT))
    [second] = put(case.backend, desk.file(OTHER))
    assert content_of(case.backend) == OTHER
    assert first.etag != second.etag
    assert listed(case.backend) == [(REPO, PATH, len(OTHER))]


def test_a_put_after_the_object_has_gone_brings_it_back(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    case.vanish(REPO, PATH)
    assert is_missing(case.backend)
    put(case.backend, desk.file(CONTENT))
    assert content_of(case.backend) == CONTENT


def test_what_is_deleted_is_gone_and_may_be_deleted_again(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT), desk.file(OTHER, "1/b.mp4"))
    for _ in range(2):
        case.backend.delete(REPO, PATH)
    assert is_missing(case.backend)
    assert listed(case.backend) == [(REPO, "1/b.mp4", len(OTHER))]


def test_deleting_where_nothing_ever_was_is_no_error(case: Case) -> None:
    case.backend.delete("weaboo-9", PATH)
    assert listed(case.backend) == []


def test_what_was_never_there_is_said_to_be_missing(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(OTHER, "1/b.mp4"))
    for repo in (REPO, "weaboo-9"):
        with pytest.raises(ObjectMissingError):
            case.backend.stat(repo, PATH)
        with pytest.raises(ObjectMissingError):
            b"".join(case.backend.open(repo, PATH, 0, 10))


def test_an_empty_account_lists_nothing_and_one_repository_that_is_missing_neither(case: Case) -> None:
    assert listed(case.backend) == []
    assert list(case.backend.list("weaboo-9")) == []


def test_only_our_repositories_are_listed(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(OTHER, repo="weaboo-1"), desk.file(OTHER, repo="somebody-elses"))
    assert [found.repo for found in case.backend.list()] == ["weaboo-1"]


def test_capacity_grows_with_what_is_stored(case: Case, desk: Desk) -> None:
    before = case.backend.capacity()
    put(case.backend, desk.file(CONTENT))
    after = case.backend.capacity()
    assert after.used - before.used >= SIZE
    assert after.free is None or after.free >= 0


# --- Progress ---


def test_progress_grows_to_the_sum_of_all_files(case: Case, desk: Desk) -> None:
    seen: list[int] = []
    case.backend.put([desk.file(CONTENT), desk.file(OTHER, "1/b.mp4")], seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == SIZE + len(OTHER)


class Enough(Exception):
    """The test doesn't want to go on."""


def test_progress_may_stop_it_and_then_there_is_all_or_nothing(case: Case, desk: Desk) -> None:
    def stop(_done: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        case.backend.put([desk.file(CONTENT)], stop)
    assert is_missing(case.backend) or content_of(case.backend) == CONTENT
    put(case.backend, desk.file(CONTENT))
    assert content_of(case.backend) == CONTENT


# --- Content that is not what it should be ---


def test_a_file_with_another_hash_is_refused_and_nothing_of_it_can_be_seen(case: Case, desk: Desk) -> None:
    if not case.checks_hash:
        pytest.skip("Xet takes our word for the sha256; reading back tells")
    with pytest.raises(ContentMismatchError):
        put(case.backend, desk.file(CONTENT, sha256=hashlib.sha256(b"other").hexdigest()))
    assert is_missing(case.backend)
    assert listed(case.backend) == []


def test_a_file_that_was_cut_before_it_was_put_is_refused(case: Case, desk: Desk) -> None:
    file = desk.file(CONTENT)
    os.truncate(file.source, SIZE - 1)
    with pytest.raises(ContentMismatchError):
        put(case.backend, file)
    assert is_missing(case.backend)


def test_a_byte_that_turned_is_noticed_by_reading_back(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    case.corrupt(REPO, PATH)
    try:
        read = content_of(case.backend)
    except ContentMismatchError:
        read = b""  # an account that notices by itself is as good
    assert read != CONTENT


def test_a_corrupted_object_is_mended_once_it_is_deleted(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    case.corrupt(REPO, PATH)
    case.backend.delete(REPO, PATH)
    put(case.backend, desk.file(CONTENT))
    assert content_of(case.backend) == CONTENT


# --- From account to account ---


def test_an_account_copies_from_another_one_without_the_source(case: Case, desk: Desk) -> None:
    other, file = case.another(), desk.file(CONTENT)
    put(other, file)
    file.source.unlink()
    stored = case.backend.copy_from(other, file)
    assert (stored is not None) == case.copies
    if stored is not None:
        assert (stored.size, content_of(case.backend)) == (SIZE, CONTENT)
        assert content_of(other) == CONTENT


def test_a_copy_of_what_is_not_there_is_no_copy(case: Case, desk: Desk) -> None:
    stored = None
    with suppress(StorageError):
        stored = case.backend.copy_from(case.another(), desk.file(CONTENT))
    assert stored is None
    assert is_missing(case.backend)


# --- Several at once ---


def test_files_of_one_repository_may_be_put_at_the_same_time(case: Case, desk: Desk) -> None:
    contents = {f"1/ep{n}/x.mp4": pattern(100_000, str(n)) for n in range(4)}
    files = [desk.file(content, path) for path, content in contents.items()]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda file: put(case.backend, file), files))
    assert {path: content_of(case.backend, path) for path in contents} == contents


def test_the_same_file_may_be_put_twice_at_the_same_time(case: Case, desk: Desk) -> None:
    files = [desk.file(CONTENT) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda file: put(case.backend, file), files))
    assert content_of(case.backend) == CONTENT
    assert listed(case.backend) == [(REPO, PATH, SIZE)]


def test_of_two_contents_put_at_the_same_time_one_is_there_whole(case: Case, desk: Desk) -> None:
    def attempt(file: FileToPut) -> bool:
        try:
            put(case.backend, file)
        except StorageUnavailableError:  # overtaken: it may give way, and says so
            return False
        return True

    contents = [pattern(3 * MIB, str(n)) for n in range(3)]
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(attempt, [desk.file(content) for content in contents]))
    assert any(done)
    assert content_of(case.backend) in [content for content, mine in zip(contents, done, strict=True) if mine]


# --- Accounts in trouble ---

EVERYTHING: dict[str, Callable[[Backend, FileToPut], object]] = {
    "put": put,
    "stat": lambda backend, _: backend.stat(REPO, PATH),
    "open": lambda backend, _: content_of(backend),
    "list": lambda backend, _: list(backend.list()),
    "list one": lambda backend, _: list(backend.list(REPO)),
    "capacity": lambda backend, _: backend.capacity(),
    "delete": lambda backend, _: backend.delete(REPO, PATH),
}


def refusal(case: Case, action: Callable[[], object], *kinds: type[StorageError]) -> StorageError:
    """The error of the action, which is of one of these kinds and of no kind below it, and tells no secret."""
    with pytest.raises(kinds) as caught:
        action()
    assert type(caught.value) in kinds
    for text in (str(caught.value), repr(caught.value)):
        assert not [secret for secret in case.secrets if secret in text]
    assert str(caught.value).strip().endswith((".", "?"))
    return caught.value


def test_a_full_account_says_so_and_goes_on_when_it_has_room(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(b"small", "1/small.mp4"))
    file = desk.file(CONTENT)
    with case.full() as backend:
        refusal(case, lambda: put(backend, file), StorageFullError, FileTooLargeError)
        assert content_of(backend, "1/small.mp4") == b"small"
    assert is_missing(case.backend)
    put(case.backend, desk.file(CONTENT))
    assert content_of(case.backend) == CONTENT


@pytest.mark.parametrize("action", EVERYTHING)
def test_an_account_that_refuses_us_is_told_from_one_that_is_gone(case: Case, desk: Desk, action: str) -> None:
    put(case.backend, desk.file(CONTENT))
    file = desk.file(OTHER)
    with case.denied() as backend:
        refusal(case, lambda: EVERYTHING[action](backend, file), StorageAuthError)
    assert content_of(case.backend) == CONTENT


@pytest.mark.parametrize("action", EVERYTHING)
def test_an_account_out_of_reach_is_never_taken_for_an_empty_one(case: Case, desk: Desk, action: str) -> None:
    put(case.backend, desk.file(CONTENT))
    file = desk.file(OTHER)
    with case.unreachable() as backend:
        refusal(case, lambda: EVERYTHING[action](backend, file), StorageUnavailableError)
    assert content_of(case.backend) == CONTENT


def test_other_threads_may_use_it_meanwhile(case: Case, desk: Desk) -> None:
    put(case.backend, desk.file(CONTENT))
    started, errors = threading.Barrier(4), []

    def read(start: int) -> None:
        started.wait(10)
        if b"".join(case.backend.open(REPO, PATH, start, start + MIB)) != CONTENT[start : start + MIB]:
            errors.append(start)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, (0, 5, MIB, 2 * MIB)))
    assert errors == []
