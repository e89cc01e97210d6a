"""Mirrors of a file: used when they show the same bytes, left when they don't, enough when the file itself is gone."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_site.safe_http import Policy
from queue_app.downloaders import Downloaded, Limits, Progress, ProgressSink, Source, download
from queue_app.failures import Cancelled, Failure, Gone, Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(16_000_000)
SLOW = servers.Slow(bytes_per_second=1_000_000)
LIMITS = Limits(max_bytes=100_000_000, retry_wait=0.1)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Origin]:
    """A second origin."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with Origin(folder) as running:
        running.put("/y.mp4", VIDEO)
        running.misbehave("/y.mp4", SLOW)
        yield running


@pytest.fixture
def first(origin: Origin) -> Origin:
    """The origin that the file's URL names."""
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", SLOW)
    return origin


def fetch(
    first: Origin, mirror: Origin, folder: Path, progress: ProgressSink = lambda _done, _total: None
) -> Downloaded:
    folder.mkdir(exist_ok=True)
    headers = {"Cookie": "secret=1", "Referer": "http://page.example/"}
    source = Source(first.url("/x.mp4"), mirrors=(mirror.url("/y.mp4"),), headers=headers)
    policy = Policy(frozenset({first.host_port, mirror.host_port}), read_timeout=1)
    return download(source, folder, policy=policy, limits=LIMITS, progress=progress)


def is_whole(found: Downloaded) -> bool:
    return found.path.read_bytes() == VIDEO and found.sha256 == hashlib.sha256(VIDEO).hexdigest()


def test_the_same_file_is_read_from_both(first: Origin, mirror: Origin, tmp_path: Path) -> None:
    assert is_whole(fetch(first, mirror, tmp_path / "d"))
    assert mirror.served("/y.mp4") > 1_000_000
    assert first.served("/x.mp4") > 1_000_000


def test_a_mirror_gets_no_cookies(first: Origin, mirror: Origin, tmp_path: Path) -> None:
    fetch(first, mirror, tmp_path / "d")
    assert all(
        "Cookie" not in seen.headers and seen.headers["Referer"] == "http://page.example/" for seen in mirror.requests
    )
    assert all(seen.headers["Cookie"] == "secret=1" for seen in first.requests)


@pytest.mark.parametrize("at", [100, 1_200_000])
def test_other_bytes_of_the_same_size_are_found_out(at: int, first: Origin, mirror: Origin, tmp_path: Path) -> None:
    other = bytearray(VIDEO)
    other[at:] = random.Random(9).randbytes(len(VIDEO) - at)
    mirror.put("/y.mp4", bytes(other))
    mirror.misbehave("/y.mp4", SLOW, servers.Headers(headers={"ETag": ""}))
    assert is_whole(fetch(first, mirror, tmp_path / "d"))
    assert mirror.count("/y.mp4") <= 3


@pytest.mark.parametrize("content", [VIDEO[:-1], VIDEO + b"x"])
def test_a_mirror_of_another_size_is_left(content: bytes, first: Origin, mirror: Origin, tmp_path: Path) -> None:
    mirror.put("/y.mp4", content)
    assert is_whole(fetch(first, mirror, tmp_path / "d"))
    assert mirror.count("/y.mp4") == 1


def test_a_mirror_with_another_strong_etag_is_left(first: Origin, mirror: Origin, tmp_path: Path) -> None:
    mirror.misbehave("/y.mp4", servers.Headers(headers={"ETag": '"another"'}))
    assert is_whole(fetch(first, mirror, tmp_path / "d"))
    assert mirror.count("/y.mp4") == 1


@pytest.mark.parametrize("code", [404, 503])
def test_a_mirror_that_fails_is_left(code: int, first: Origin, mirror: Origin, tmp_path: Path) -> None:
    mirror.misbehave("/y.mp4", servers.Status(code=code))
    assert is_whole(fetch(first, mirror, tmp_path / "d"))


def test_a_malformed_mirror_is_left(first: Origin, mirror: Origin, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    source = Source(first.url("/x.mp4"), mirrors=("http://[not.an.address/x.mp4", mirror.url("/y.mp4")))
    policy = Policy(frozenset({first.host_port, mirror.host_port}))
    assert is_whole(download(source, tmp_path / "d", policy=policy, limits=LIMITS, progress=Progress()))
    assert mirror.served("/y.mp4") > 1_000_000


@pytest.mark.parametrize("code", [403, 404, 503])
def test_it_begins_with_a_mirror_when_the_file_is_not_there(
    code: int, first: Origin, mirror: Origin, tmp_path: Path
) -> None:
    first.misbehave("/x.mp4", servers.Status(code=code))
    assert is_whole(fetch(first, mirror, tmp_path / "d"))


@pytest.mark.parametrize("code", [404, 503])
def test_it_ends_with_a_mirror_when_the_file_goes_away(
    code: int, first: Origin, mirror: Origin, tmp_path: Path
) -> None:
    first.misbehave("/x.mp4", SLOW, servers.Cut(after=600_000))

    def go_away(done: int, _total: int | None) -> None:
        if done > 3_000_000:
            first.misbehave("/x.mp4", servers.Status(code=code))

    assert is_whole(fetch(first, mirror, tmp_path / "d", go_away))


def cancel(done: int, _total: int | None) -> None:
    if done > 4_000_000:
        raise Cancelled


@pytest.mark.parametrize("code", [404, 503])
def test_a_mirror_goes_on_with_what_the_file_has_left(code: int, first: Origin, mirror: Origin, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        fetch(first, mirror, tmp_path / "d", cancel)
    first.misbehave("/x.mp4", servers.Status(code=code))
    found = fetch(first, mirror, tmp_path / "d")
    assert is_whole(found)
    assert found.resumed


def test_what_began_with_a_mirror_goes_on(first: Origin, mirror: Origin, tmp_path: Path) -> None:
    first.misbehave("/x.mp4", servers.Status(code=503))
    with pytest.raises(Cancelled):
        fetch(first, mirror, tmp_path / "d", cancel)
    first.misbehave("/x.mp4", SLOW)
    found = fetch(first, mirror, tmp_path / "d")
    assert is_whole(found)
    assert found.resumed


@pytest.mark.parametrize("code", [400, 403, 404, 503])
def test_no_other_file_takes_the_place_of_what_is_there(
    code: int, first: Origin, mirror: Origin, tmp_path: Path
) -> None:
    with pytest.raises(Cancelled):
        fetch(first, mirror, tmp_path / "d", cancel)
    first.misbehave("/x.mp4", servers.Status(code=code))
    mirror.put("/y.mp4", VIDEO[:100] + random.Random(9).randbytes(len(VIDEO) - 100))
    with pytest.raises(Failure, match=f"answered {code}"):
        fetch(first, mirror, tmp_path / "d")


def test_a_mirror_that_is_in_trouble_leaves_hope(first: Origin, mirror: Origin, tmp_path: Path) -> None:
    first.misbehave("/x.mp4", servers.Status(code=404))
    mirror.misbehave("/y.mp4", servers.Status(code=503))
    with pytest.raises(Transient, match="answered 503"):
        fetch(first, mirror, tmp_path / "d")


@pytest.mark.parametrize("permanent", [400, 404])
def test_a_mirror_that_is_in_trouble_keeps_what_is_there(
    permanent: int, first: Origin, mirror: Origin, tmp_path: Path
) -> None:
    with pytest.raises(Cancelled):
        fetch(first, mirror, tmp_path / "d", cancel)
    first.misbehave("/x.mp4", servers.Status(code=permanent))
    mirror.misbehave("/y.mp4", servers.Status(code=503))
    with pytest.raises(Transient):
        fetch(first, mirror, tmp_path / "d")
    mirror.misbehave("/y.mp4")
    found = fetch(first, mirror, tmp_path / "d")
    assert is_whole(found)
    assert found.resumed


@pytest.mark.parametrize(("code", "failure"), [(404, Gone), (503, Transient)])
def test_when_nobody_has_it_the_file_itself_says_why(
    code: int, failure: type[Exception], first: Origin, mirror: Origin, tmp_path: Path
) -> None:
    first.misbehave("/x.mp4", servers.Status(code=code))
    mirror.misbehave("/y.mp4", servers.Status(code=410))
    with pytest.raises(failure, match=f"answered {code}"):
        fetch(first, mirror, tmp_path / "d")
