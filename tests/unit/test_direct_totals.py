"""A file whose size is told late, or falsely."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from queue_app.downloaders import Limits
from queue_app.failures import Cancelled, TooLarge, Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.unit.downloads import Get, Getter

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(3_000_000)
LIMITS = Limits(max_bytes=100_000_000, retry_wait=0.01)


@pytest.fixture
def get(origin: Origin, tmp_path: Path) -> Get:
    """Download a path of the origin, which says the size only with a range, after the first answer was cut."""
    origin.put("/x.mp4", VIDEO)
    folder = tmp_path / "download"
    folder.mkdir()
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/x.mp4", **options: getter(path, **options)


def not_for_ever(origin: Origin) -> Callable[[int, int | None], None]:
    """Progress that gives up when the download has long been asking for nothing."""
    calls = [0, 0]

    def progress(_done: int, _total: int | None) -> None:
        calls[:] = [len(origin.requests), 0 if calls[0] != len(origin.requests) else calls[1] + 1]
        if calls[1] > 200:
            raise Cancelled

    return progress


def test_a_size_that_is_told_late_is_believed(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Chunked(), servers.Cut(after=1_000_000, times=1))
    found = get()
    assert found.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert "Range" not in origin.requests[0].headers
    assert origin.requests[1].headers["Range"].startswith("bytes=")


@pytest.mark.parametrize("size", [0, 5, 900_000, len(VIDEO) - 1])
def test_a_size_below_what_is_there_is_not_believed(size: int, origin: Origin, get: Get) -> None:
    origin.misbehave(
        "/x.mp4", servers.Chunked(), servers.Cut(after=1_000_000, times=1), servers.Total(size=size, times=2)
    )
    found = get(progress=not_for_ever(origin))
    assert found.path.read_bytes() == VIDEO


def test_a_source_that_never_tells_the_truth_is_a_failure(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Chunked(), servers.Cut(after=1_000_000), servers.Total(size=5))
    with pytest.raises(Transient):
        get(progress=not_for_ever(origin))


def test_a_size_that_is_told_late_may_be_too_large(origin: Origin, get: Get) -> None:
    origin.misbehave(
        "/x.mp4",
        servers.Chunked(),
        servers.Cut(after=1_000_000, times=1),
        servers.Slow(bytes_per_second=500_000, skip=1),
    )
    with pytest.raises(TooLarge):
        get(limits=dataclasses.replace(LIMITS, max_bytes=2_000_000))
    assert origin.served("/x.mp4") < 2_000_000


def test_room_is_set_aside_as_soon_as_the_size_is_told(origin: Origin, get: Get, tmp_path: Path) -> None:
    sizes: set[int] = set()

    def progress(_done: int, total: int | None) -> None:
        part = tmp_path / "download" / "direct.part"
        if total is not None and part.exists():
            sizes.add(part.stat().st_size)

    origin.misbehave(
        "/x.mp4",
        servers.Chunked(),
        servers.Cut(after=1_000_000, times=1),
        servers.Slow(bytes_per_second=2_000_000, skip=1),
    )
    assert get(progress=progress).path.read_bytes() == VIDEO
    assert max(sizes) == len(VIDEO)
    assert len(sizes) <= 2
