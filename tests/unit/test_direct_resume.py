"""A download goes on from the bytes on the disk, and never from bytes of another file."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from queue_app.downloaders import Downloaded, Limits
from queue_app.failures import Cancelled, Gone, Transient
from tests.servers import origin as servers
from tests.servers.origin import Headers, Origin
from tests.unit.downloads import Get, Getter

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(1_000_000)
OTHER = VIDEO[:64] + random.Random(2).randbytes(len(VIDEO) - 64)
LIMITS = Limits(max_bytes=100_000_000, retry_wait=0.001, mark_seconds=0)
LAST = len(VIDEO) - 1
DATE = "Thu, 19 Nov 2026 10:00:00 GMT"


@pytest.fixture
def get(origin: Origin, folder: Path) -> Get:
    """Download a path of the origin, each time to the same folder."""
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/x.mp4", **options: getter(path, **options)


@pytest.fixture
def stop_at(origin: Origin, get: Get) -> Callable[..., None]:
    """Download until so many bytes have arrived."""

    def run(size: int, path: str = "/x.mp4", *misbehaviour: servers.Misbehaviour) -> None:
        origin.misbehave(path.partition("?")[0], *misbehaviour, servers.Stall(after=size))

        def cancel(done: int, _total: int | None) -> None:
            if done >= size:
                raise Cancelled

        with pytest.raises(Cancelled):
            get(path, progress=cancel)
        origin.misbehave(path.partition("?")[0], *misbehaviour)
        origin.requests.clear()

    return run


def ranges(origin: Origin) -> list[str | None]:
    return [seen.headers.get("Range") for seen in origin.requests]


def is_whole(found: Downloaded, content: bytes = VIDEO) -> bool:
    return found.path.read_bytes() == content and found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("offset", [1024, 70_000, 500_000, len(VIDEO) - 1])
def test_goes_on_where_it_stopped(offset: int, origin: Origin, get: Get, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(offset)
    seen: list[int] = []
    found = get(progress=lambda done, _total: seen.append(done))
    assert is_whole(found)
    assert found.resumed
    assert ranges(origin) == [f"bytes={offset}-{LAST}"]
    assert (seen[0], seen[-1]) == (min(offset, 1024 * 1024), len(VIDEO))


def test_goes_on_by_date_when_there_is_no_strong_etag(origin: Origin, get: Get, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000, "/x.mp4", Headers(headers={"ETag": "", "Last-Modified": DATE}))
    assert is_whole(get())
    assert ranges(origin) == [f"bytes=500000-{LAST}"]


def test_a_changed_file_is_read_from_its_beginning(origin: Origin, get: Get, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)
    origin.put("/x.mp4", OTHER)
    found = get()
    assert is_whole(found, OTHER)
    assert not found.resumed
    assert ranges(origin) == [f"bytes=500000-{LAST}", None]


@pytest.mark.parametrize(
    "then",
    [
        servers.NoRange(),
        servers.WrongRange(),
        servers.Changed(),
        servers.Headers(headers={"Last-Modified": DATE, "ETag": '"new"'}),
        servers.Status(code=416, times=1),
    ],
)
def test_a_server_that_does_not_go_on_is_read_from_the_beginning(
    then: servers.Misbehaviour, origin: Origin, get: Get, stop_at: Callable[..., None]
) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)
    origin.misbehave("/x.mp4", then)
    found = get()
    assert is_whole(found)
    assert not found.resumed


def test_without_validators_it_starts_again(origin: Origin, get: Get, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000, "/x.mp4", Headers(headers={"ETag": ""}))
    assert is_whole(get())
    assert ranges(origin) == [None]


@pytest.mark.parametrize(
    ("path", "headers", "goes_on"),
    [
        ("/x.mp4?signature=b", {}, True),
        ("/x.mp4?signature=b", {"ETag": 'W/"weak"', "Last-Modified": DATE}, False),
        ("/x.mp4?signature=b", {"ETag": "", "Last-Modified": DATE}, False),
        ("/y.mp4", {"ETag": '"same"'}, False),
    ],
    ids=["signed anew", "weak", "date", "another path"],
)
def test_another_url_goes_on_only_for_surely_the_same_file(
    path: str, headers: dict[str, str], goes_on: bool, origin: Origin, get: Get, stop_at: Callable[..., None]
) -> None:
    for name in ("/x.mp4", "/y.mp4"):
        origin.put(name, VIDEO)
        origin.misbehave(name, Headers(headers=headers))
    stop_at(500_000, "/x.mp4?signature=a", Headers(headers=headers))
    found = get(path)
    assert is_whole(found)
    assert (found.resumed, f"bytes=500000-{LAST}" in ranges(origin)) == (goes_on, goes_on)


@pytest.mark.parametrize(("path", "goes_on"), [("/x.mp4?signature=a", True), ("/x.mp4?signature=b", False)])
def test_a_rest_that_does_not_say_its_etag_is_believed_under_its_own_url_only(
    path: str, goes_on: bool, origin: Origin, get: Get, stop_at: Callable[..., None]
) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000, "/x.mp4?signature=a")
    origin.misbehave("/x.mp4", servers.Changed(), Headers(headers={"ETag": ""}))
    found = get(path)
    assert is_whole(found)
    assert found.resumed == goes_on


def test_a_rest_of_a_file_of_another_size_is_not_taken(origin: Origin, get: Get, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000, "/x.mp4", servers.Changed(etag='"same"'))
    origin.put("/x.mp4", OTHER + b"more")
    assert is_whole(get(), OTHER + b"more")


def test_a_whole_download_is_not_asked_for_again(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    first, second = get(), get()
    assert is_whole(second)
    assert (first.resumed, second.resumed, origin.count("/x.mp4")) == (False, True, 1)


@pytest.mark.parametrize("now", [VIDEO, OTHER])
def test_a_whole_download_under_a_newly_signed_url_is_checked_by_its_last_byte(
    now: bytes, origin: Origin, get: Get
) -> None:
    origin.put("/x.mp4", VIDEO)
    get("/x.mp4?signature=a")
    origin.put("/x.mp4", now)
    found = get("/x.mp4?signature=b")
    assert is_whole(found, now)
    assert ranges(origin)[1] == f"bytes={LAST}-{LAST}"
    assert origin.count("/x.mp4") == (2 if now == VIDEO else 3)


def test_a_source_that_is_gone_by_then_leaves_nothing(
    origin: Origin, get: Get, folder: Path, stop_at: Callable[..., None]
) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)
    origin.misbehave("/x.mp4", servers.Status(code=404))
    with pytest.raises(Gone):
        get()
    assert list(folder.iterdir()) == []


def test_trouble_of_the_source_keeps_what_is_there(origin: Origin, get: Get, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)
    origin.misbehave("/x.mp4", servers.Status(code=503))
    with pytest.raises(Transient):
        get()
    origin.misbehave("/x.mp4")
    assert is_whole(get())
    assert ranges(origin)[-1] == f"bytes=500000-{LAST}"


def test_hashing_what_is_there_can_be_cancelled(origin: Origin, get: Get, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)

    def cancel(_done: int, _total: int | None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        get(progress=cancel)
    assert origin.requests == []
    assert is_whole(get())
    assert ranges(origin) == [f"bytes=500000-{LAST}"]


def garbage(folder: Path) -> None:
    (folder / "direct.resume.json").write_bytes(b"\x00\xff{[")


def empty(folder: Path) -> None:
    (folder / "direct.resume.json").write_bytes(b"")


def forged(folder: Path) -> None:
    file = folder / "direct.resume.json"
    file.write_text(file.read_text().replace('"front": 500000', '"front": 400000'))


def other_release(folder: Path) -> None:
    file = folder / "direct.resume.json"
    content = json.loads(file.read_text())
    fields = content["record"] | {"colour": "red"}
    check = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps({"record": fields, "check": check}))


def newer_than_the_part(folder: Path) -> None:
    os.truncate(folder / "direct.part", 400_000)


def without_part(folder: Path) -> None:
    (folder / "direct.part").unlink()


def flipped_bit(folder: Path) -> None:
    with (folder / "direct.part").open("r+b") as file:
        file.seek(250_000)
        file.write(bytes([VIDEO[250_000] ^ 1]))


@pytest.mark.parametrize(
    "damage", [garbage, empty, forged, other_release, newer_than_the_part, without_part, flipped_bit]
)
def test_what_does_not_fit_together_is_fetched_again(
    damage: Callable[[Path], None], origin: Origin, get: Get, folder: Path, stop_at: Callable[..., None]
) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)
    damage(folder)
    found = get()
    assert is_whole(found)
    assert not found.resumed
    assert ranges(origin) == [None]


def test_bytes_beyond_the_record_are_cut_off(
    origin: Origin, get: Get, folder: Path, stop_at: Callable[..., None]
) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)
    with (folder / "direct.part").open("ab") as file:
        file.write(bytes(800_000))
    assert is_whole(get())
    assert ranges(origin) == [f"bytes=500000-{LAST}"]


def test_only_the_owner_may_read_the_record(origin: Origin, folder: Path, stop_at: Callable[..., None]) -> None:
    origin.put("/x.mp4", VIDEO)
    stop_at(500_000)
    assert (folder / "direct.resume.json").stat().st_mode & 0o077 == 0
