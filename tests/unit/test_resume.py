"""A stream goes on from the segments on the disk, and never from those of another playlist."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from queue_app.downloaders import Downloaded, Limits
from queue_app.failures import Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.unit.downloads import Get, Getter
from tests.unit.killed import KILLED_AT_EVERY_STEP

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(1_000_000)
OTHER = VIDEO[:64] + random.Random(2).randbytes(len(VIDEO) - 64)
LIMITS = Limits(max_bytes=100_000_000, hls_connections=4, retry_wait=0.001, mark_seconds=0)
DATE = "Thu, 19 Nov 2026 10:00:00 GMT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "download"
    path.mkdir()
    return path


@pytest.fixture
def get(origin: Origin, folder: Path) -> Get:
    """Download a path of the origin, each time to the same folder."""
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/x.mp4", **options: getter(path, **options)


def is_whole(found: Downloaded, content: bytes = VIDEO) -> bool:
    return found.path.read_bytes() == content and found.sha256 == hashlib.sha256(content).hexdigest()


def segment(number: int) -> bytes:
    return (b"G" + number.to_bytes(2, "big") + bytes(185)) * 100


def stream(origin: Origin, count: int = 20, query: str = "", seconds: float = 1.5) -> bytes:
    lines = "".join(f"#EXTINF:{seconds},\ns{n}.ts{query}\n" for n in range(count))
    origin.put("/v.m3u8", f"#EXTM3U\n{lines}#EXT-X-ENDLIST\n".encode())
    for n in range(count):
        origin.put(f"/s{n}.ts", segment(n))
    return b"".join(segment(n) for n in range(count))


@pytest.fixture
def broken_stream(origin: Origin, get: Get) -> bytes:
    """A stream of twenty segments that was fetched up to the twelfth; returns what it is as a whole."""
    whole = stream(origin)
    origin.misbehave("/s12.ts", servers.Status(code=503))
    with pytest.raises(Transient):
        get("/v.m3u8")
    origin.misbehave("/s12.ts")
    origin.requests.clear()
    return whole


@pytest.mark.parametrize("query", ["", "?signature=b"])
def test_a_stream_goes_on_with_its_next_segment(query: str, origin: Origin, get: Get, broken_stream: bytes) -> None:
    stream(origin, query=query)
    found = get("/v.m3u8" + query)
    assert found.path.read_bytes() == broken_stream
    assert (found.resumed, found.expected_duration) == (True, 30.0)
    assert {seen.path for seen in origin.requests} == {"/v.m3u8", *(f"/s{n}.ts" for n in range(12, 20))}


@pytest.mark.parametrize("change", [{"count": 21}, {"seconds": 1.6}])
def test_a_changed_playlist_starts_again(
    change: dict[str, Any], origin: Origin, get: Get, broken_stream: bytes
) -> None:
    whole = stream(origin, **change)
    found = get("/v.m3u8")
    assert found.path.read_bytes() == whole
    assert not found.resumed
    assert origin.count("/s0.ts") == 1


def test_a_damaged_number_of_segments_is_not_believed(
    origin: Origin, get: Get, folder: Path, broken_stream: bytes
) -> None:
    file = folder / "source.resume.json"
    file.write_text(file.read_text().replace('"segments": 12', '"segments": 13'))
    found = get("/v.m3u8")
    assert found.path.read_bytes() == broken_stream
    assert not found.resumed


def test_a_whole_stream_is_not_asked_for_again(origin: Origin, get: Get) -> None:
    whole = stream(origin)
    get("/v.m3u8")
    origin.requests.clear()
    found = get("/v.m3u8")
    assert (found.path.read_bytes(), found.expected_duration) == (whole, 30.0)
    assert origin.requests == []


def test_a_stream_that_becomes_a_file_starts_again(origin: Origin, get: Get) -> None:
    stream(origin)
    (origin.folder / "v.m3u8").rename(origin.folder / "watch")
    origin.misbehave("/s12.ts", servers.Status(code=503))
    with pytest.raises(Transient):
        get("/watch")
    origin.put("/watch", VIDEO)
    found = get("/watch")
    assert is_whole(found)
    assert not found.resumed


def test_killed_at_every_step_it_goes_on_to_the_same_file(origin: Origin, folder: Path) -> None:
    content = stream(origin, 6)
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, origin.url("/v.m3u8"), str(folder)]
    subprocess.run([*command, str(origin.host_port[1])], check=True, timeout=120)
    ends = list(folder.iterdir())
    assert len(ends) > 10
    for end in ends:
        names = {file.name for file in end.iterdir()}
        (name,) = names - {"source.resume.json"}
        assert (end / name).read_bytes() == content
