"""An HLS download goes on with the next segment, and never with one of another stream."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queue_app.downloaders import Limits
from queue_app.failures import ExpiredUrl, Forbidden, Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.unit.downloads import Get, Getter
from tests.unit.killed import KILLED_AT_EVERY_STEP

LIMITS = Limits(max_bytes=100_000_000, hls_connections=4, retry_wait=0.001, mark_seconds=0)


@pytest.fixture
def get(origin: Origin, folder: Path) -> Get:
    """Download a path of the origin, each time to the same folder."""
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/v.m3u8", **options: getter(path, **options)


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


@pytest.mark.parametrize("code", [401, 403, 410])
def test_playlist_whose_time_is_over_leaves_what_arrived(
    code: int, origin: Origin, get: Get, broken_stream: bytes
) -> None:
    origin.misbehave("/v.m3u8", servers.Status(code=code, times=1))
    with pytest.raises(ExpiredUrl, match="a part of the stream before"):
        get("/v.m3u8")
    found = get("/v.m3u8?signature=new")
    assert (found.path.read_bytes(), found.resumed) == (broken_stream, True)


def test_refused_playlist_of_another_stream_is_forbidden(origin: Origin, get: Get, broken_stream: bytes) -> None:
    origin.misbehave("/other.m3u8", servers.Status(code=403))
    with pytest.raises(Forbidden):
        get("/other.m3u8")


def test_track_whose_time_is_over_leaves_what_arrived(origin: Origin, get: Get) -> None:
    whole = stream(origin)
    origin.put("/m.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n")
    origin.misbehave("/s12.ts", servers.Status(code=503))
    with pytest.raises(Transient):
        get("/m.m3u8")
    origin.misbehave("/s12.ts")
    origin.misbehave("/v.m3u8", servers.Status(code=403, times=2))
    with pytest.raises(ExpiredUrl, match="a part of the stream before"):
        get("/m.m3u8")
    found = get("/m.m3u8")
    assert (found.path.read_bytes(), found.resumed) == (whole, True)


@pytest.mark.parametrize("change", [{"count": 10}, {"seconds": 1.6}])
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
    file = folder / "stream.json"
    file.write_text(file.read_text().replace('"count": 12', '"count": 13'))
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


def test_a_longer_playlist_goes_on(origin: Origin, get: Get, broken_stream: bytes) -> None:
    whole = stream(origin, 21)
    found = get()
    assert found.path.read_bytes() == whole
    assert (found.resumed, origin.count("/s0.ts")) == (True, 0)


def test_a_stream_that_becomes_a_file_starts_again(origin: Origin, get: Get) -> None:
    stream(origin)
    (origin.folder / "v.m3u8").rename(origin.folder / "watch")
    origin.misbehave("/s12.ts", servers.Status(code=503))
    with pytest.raises(Transient):
        get("/watch")
    video = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + bytes(range(256)) * 1000
    origin.put("/watch", video)
    found = get("/watch")
    assert (found.path.read_bytes(), found.resumed) == (video, False)


def flipped_bit(folder: Path) -> None:
    with (folder / "stream-0-0.ts").open("r+b") as file:
        file.seek(10_000)
        file.write(b"\xff")


def shorter(folder: Path) -> None:
    with (folder / "stream-0-0.ts").open("r+b") as file:
        file.truncate(100)


def without_file(folder: Path) -> None:
    (folder / "stream-0-0.ts").unlink()


def garbage(folder: Path) -> None:
    (folder / "stream.json").write_bytes(b"\x00\xff{[")


@pytest.mark.parametrize("damage", [flipped_bit, shorter, without_file, garbage])
def test_what_does_not_fit_together_is_fetched_again(
    damage: Callable[[Path], None], origin: Origin, get: Get, folder: Path, broken_stream: bytes
) -> None:
    damage(folder)
    found = get()
    assert (found.path.read_bytes(), found.resumed) == (broken_stream, False)


def test_only_the_owner_may_read_the_record(folder: Path, broken_stream: bytes) -> None:
    assert (folder / "stream.json").stat().st_mode & 0o077 == 0


def test_killed_at_every_step_it_goes_on_to_the_same_file(origin: Origin, folder: Path) -> None:
    content = stream(origin, 6)
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, origin.url("/v.m3u8"), str(folder), str(origin.host_port[1])]
    subprocess.run(command, check=True)
    ends = list(folder.iterdir())
    assert len(ends) > 10
    for end in ends:
        assert {file.name for file in end.iterdir()} == {"stream.json", "stream-0-0.ts"}
        assert (end / "stream-0-0.ts").read_bytes() == content


KILLED_AT_RANDOM = """
import sys
from pathlib import Path
from archive_site.safe_http import Policy
from queue_app.downloaders import Limits, Progress, Source, download

policy = Policy(frozenset({("127.0.0.1", int(sys.argv[3]))}))
limits = Limits(max_bytes=10**9, hls_connections=4, mark_seconds=0.001)
download(Source(sys.argv[1]), Path(sys.argv[2]), policy=policy, limits=limits, progress=Progress())
"""


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_killed_it_fetches_at_most_a_segment_for_each_connection_twice(
    share: float, origin: Origin, folder: Path
) -> None:
    content = stream(origin, 60)
    for n in range(60):
        origin.misbehave(f"/s{n}.ts", servers.Slow(bytes_per_second=188_000))
    command = [sys.executable, "-c", KILLED_AT_RANDOM, origin.url("/v.m3u8"), str(folder), str(origin.host_port[1])]
    first = subprocess.Popen(command)
    while len(origin.requests) < share * 60:
        assert first.poll() is None
        time.sleep(0.001)
    first.send_signal(signal.SIGKILL)
    first.wait()
    subprocess.run(command, check=True)
    assert (folder / "stream-0-0.ts").read_bytes() == content
    fetched = sum(origin.count(f"/s{n}.ts") for n in range(60))
    assert fetched <= 60 + 2 * 4


def test_a_record_that_outran_the_disk_gives_way_to_the_one_before(
    origin: Origin, get: Get, folder: Path, broken_stream: bytes
) -> None:
    (folder / "stream-recent.json").write_text(
        (folder / "stream.json").read_text().replace('"count": 12', '"count": 13')
    )
    found = get()
    assert (found.path.read_bytes(), found.resumed) == (broken_stream, True)


def test_a_record_behind_the_whole_one_counts_for_nothing(
    origin: Origin, get: Get, folder: Path, broken_stream: bytes
) -> None:
    """Killed between the last writing of the one and the removal of the other."""
    behind = (folder / "stream.json").read_bytes()
    get()
    (folder / "stream-recent.json").write_bytes(behind)
    found = get()
    assert (found.path.read_bytes(), found.expected_duration) == (broken_stream, 30.0)


def test_a_full_disk_within_a_segment_leaves_whole_ones(origin: Origin, folder: Path) -> None:
    content = stream(origin, 60)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n" + KILLED_AT_RANDOM
    arguments = [origin.url("/v.m3u8"), str(folder), str(origin.host_port[1])]
    assert subprocess.run([sys.executable, "-c", limited, *arguments], capture_output=True, check=False).returncode == 1
    subprocess.run([sys.executable, "-c", KILLED_AT_RANDOM, *arguments], check=True)
    assert (folder / "stream-0-0.ts").read_bytes() == content
    assert origin.count("/s0.ts") == 1
