"""Live streams are followed from the first segment listed to their end, or it is said why not."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queue_app.failures import BadSource, Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.streams import clip, cut, fmp4
from tests.servers.videos import frame_hashes
from tests.unit.streams import LIMITS, archive, fetch

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"


def segment(number: int) -> bytes:
    """100 transport packets that tell their number."""
    return (b"G" + number.to_bytes(2, "big") + bytes(185)) * 100


def whole(count: int) -> bytes:
    return b"".join(segment(n) for n in range(count))


def playlist(first: int, end: int, *, over: bool = False, name: str = "s") -> bytes:
    lines = "".join(f"#EXTINF:1,\n{name}{n}.ts\n" for n in range(first, end))
    return f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{first}\n{lines}{'#EXT-X-ENDLIST' if over else ''}\n".encode()


@contextmanager
def on_air(origin: Origin, *versions: bytes, path: str = "/v.m3u8", seconds: float = 0.6) -> Iterator[None]:
    """Serve these versions of a playlist one after another; the last one stays."""
    for n in range(30):
        origin.put(f"/s{n}.ts", segment(n))
    origin.put(path, versions[0])
    over = threading.Event()

    def broadcast() -> None:
        for version in versions[1:]:
            if over.wait(seconds):
                return
            new = origin.folder / "new"
            new.write_bytes(version)
            new.replace(origin.folder / path.lstrip("/"))

    sender = threading.Thread(target=broadcast)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def test_event_is_followed_to_its_end(origin: Origin, tmp_path: Path) -> None:
    with on_air(origin, playlist(0, 2), playlist(0, 4), playlist(0, 5), playlist(0, 5, over=True)):
        found = fetch(origin, "/v.m3u8", tmp_path / "job")
    assert (found.path.read_bytes(), found.expected_duration) == (whole(5), 5.0)
    assert origin.count("/s0.ts") == 1


def test_sliding_window_is_followed_to_its_end(origin: Origin, tmp_path: Path) -> None:
    versions = [playlist(0, 3), playlist(1, 4), playlist(3, 6), playlist(5, 8, over=True)]
    with on_air(origin, *versions, seconds=1.2):
        found = fetch(origin, "/v.m3u8", tmp_path / "job")
    assert found.path.read_bytes() == whole(8)


def test_segment_that_slid_out_is_missing(origin: Origin, tmp_path: Path) -> None:
    with on_air(origin, playlist(0, 3), playlist(5, 8)), pytest.raises(BadSource, match="segment 3 left its playlist"):
        fetch(origin, "/v.m3u8", tmp_path / "job")


def test_renumbered_stream_is_refused(origin: Origin, tmp_path: Path) -> None:
    with (
        on_air(origin, playlist(0, 3), playlist(0, 5, name="other")),
        pytest.raises(BadSource, match="EXT-X-MEDIA-SEQUENCE"),
    ):
        fetch(origin, "/v.m3u8", tmp_path / "job")


def test_stream_that_falls_silent_is_looked_at_again_later(origin: Origin, tmp_path: Path) -> None:
    with on_air(origin, playlist(0, 3)), pytest.raises(Transient, match="nothing new"):
        fetch(origin, "/v.m3u8", tmp_path / "job")
    with on_air(origin, playlist(2, 5, over=True)):
        found = fetch(origin, "/v.m3u8", tmp_path / "job")
    assert (found.path.read_bytes(), found.resumed) == (whole(5), True)
    assert origin.count("/s0.ts") == 1


@pytest.fixture
def left_alone(origin: Origin, tmp_path: Path) -> Path:
    """The folder of a live stream that was followed for three segments."""
    with on_air(origin, playlist(0, 3)), pytest.raises(Transient, match="nothing new"):
        fetch(origin, "/v.m3u8", tmp_path / "job")
    return tmp_path / "job"


@pytest.mark.parametrize("over", [False, True])
def test_what_was_missed_while_away_is_told(over: bool, origin: Origin, left_alone: Path) -> None:
    reason = "while the worker was away: 4 segments left its playlist after the first 3"
    limits = dataclasses.replace(LIMITS, keep_refused=True)
    with on_air(origin, playlist(7, 9, over=over)), pytest.raises(BadSource, match=reason):
        fetch(origin, "/v.m3u8", left_alone, limits)
    assert (left_alone / "stream-0-0.ts").read_bytes() == whole(3)


def test_stream_that_ended_right_behind_the_last_segment_goes_on(origin: Origin, left_alone: Path) -> None:
    with on_air(origin, playlist(3, 5, over=True)):
        found = fetch(origin, "/v.m3u8", left_alone)
    assert (found.path.read_bytes(), found.resumed) == (whole(5), True)


def test_stream_is_followed_within_the_limit(origin: Origin, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, live_seconds=1.5)
    versions = [playlist(0, n) for n in range(2, 12)]
    with on_air(origin, *versions), pytest.raises(BadSource, match="MAX_LIVE_HOURS"):
        fetch(origin, "/v.m3u8", tmp_path / "job", limits)


def test_stream_of_too_many_segments_is_refused(origin: Origin, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, max_segments=6)
    versions = [playlist(n, n + 3) for n in range(10)]
    with on_air(origin, *versions, seconds=0.3), pytest.raises(BadSource, match="more than 6 segments"):
        fetch(origin, "/v.m3u8", tmp_path / "job", limits)


def test_missing_segment_of_a_live_stream_is_named(origin: Origin, tmp_path: Path) -> None:
    origin.misbehave("/s3.ts", servers.Status(code=404))
    with on_air(origin, playlist(0, 3), playlist(0, 6)), pytest.raises(BadSource, match="Segment 4 is missing"):
        fetch(origin, "/v.m3u8", tmp_path / "job")


@pytest.mark.parametrize("options", [[], fmp4()], ids=["ts", "fmp4"])
def test_every_frame_of_a_live_stream_arrives(options: list[str], origin: Origin, tmp_path: Path) -> None:
    source = clip(tmp_path)
    text = cut(source, origin.folder / "v", *options).read_text().replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "")
    blocks = text.removesuffix("#EXT-X-ENDLIST\n").split("#EXTINF")
    versions = ["#EXTINF".join(blocks[:n]).encode() for n in (2, 3, 5)]
    with on_air(origin, *versions, text.encode(), path="/v/index.m3u8"):
        mp4 = archive(origin, "/v/index.m3u8", tmp_path / "job")
    assert frame_hashes(mp4) == frame_hashes(source)
    assert origin.count("/v/index.m3u8") > 2


def test_separate_sound_is_followed_beside_the_pictures(origin: Origin, tmp_path: Path) -> None:
    media = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n",URI="a.m3u8"\n'
    origin.put("/m.m3u8", f'#EXTM3U\n{media}#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8\n'.encode())
    for n in range(8):
        origin.put(f"/b{n}.ts", segment(100 + n))
    versions = [(0, 3, False), (2, 5, False), (4, 8, True)]
    sound = [playlist(*version[:2], over=version[2], name="b") for version in versions]
    pictures = [playlist(*version[:2], over=version[2]) for version in versions]
    with on_air(origin, *pictures), on_air(origin, *sound, path="/a.m3u8"):
        found = fetch(origin, "/m.m3u8", tmp_path / "job")
    assert [track.kind for track in found.tracks] == ["video", "audio"]
    assert found.tracks[1].groups[0].path.read_bytes() == b"".join(segment(100 + n) for n in range(8))
