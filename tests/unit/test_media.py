"""Probing, remuxing and proving real files, and what is done to damaged and hostile ones."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from archive_site.safe_http import Policy
from queue_app.downloaders import Limits, Progress, Source, download
from queue_app.failures import BadSource
from queue_app.media.boxes import walk_boxes
from queue_app.media.caps import Caps
from queue_app.media.ffmpeg import find_tools
from queue_app.media.probe import MediaInfo, probe
from queue_app.media.proof import prove, sha256_file
from queue_app.media.remux import needs_remux, remux_to_mp4
from tests.servers.origin import Origin
from tests.servers.videos import SECONDS, Videos, frame_hashes


def check(path: Path) -> None:
    """What the pipeline asks of every file."""
    prove(path, probe(path), expected_duration=SECONDS)


def damaged(source: Path, target: Path, content: bytes) -> Path:
    """`content` under the source's suffix."""
    path = target / f"damaged{source.suffix}"
    path.write_bytes(content)
    return path


def test_probe_tells_what_is_in_a_file(videos: Videos) -> None:
    info = probe(videos.mp4)
    (video,), (audio,) = info.of_kind("video"), info.of_kind("audio")
    assert (info.container, info.duration, info.size) == ("mp4", SECONDS, videos.mp4.stat().st_size)
    assert (video.codec, video.width, video.height, video.fps) == ("h264", 320, 180, 25.0)
    assert (audio.codec, audio.channels) == ("aac", 2)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov", "ts"])
def test_whole_file_is_proven(kind: str, videos: Videos) -> None:
    check(getattr(videos, kind))


def test_probe_result_survives_json(videos: Videos) -> None:
    info = probe(videos.mkv)
    assert MediaInfo.from_json(json.loads(json.dumps(info.as_json()))) == info


def test_mp4_is_kept_and_others_are_remuxed(videos: Videos) -> None:
    wanted = {"mp4": False, "mkv": True, "mov": True, "ts": True}
    assert {kind: needs_remux(probe(getattr(videos, kind))) for kind in wanted} == wanted


@pytest.mark.parametrize("kind", ["mkv", "mov", "ts"])
def test_remuxing_changes_no_frame(kind: str, videos: Videos, tmp_path: Path) -> None:
    source, target = getattr(videos, kind), tmp_path / "x.mp4"
    remux_to_mp4(source, target, container=probe(source).container)
    check(target)
    assert frame_hashes(target) == frame_hashes(videos.mp4)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("path", ["hls_ts/master.m3u8", "hls_fmp4/index.m3u8"])
def test_hls_becomes_an_mp4_with_every_frame(path: str, origin: Origin, videos: Videos, tmp_path: Path) -> None:
    kind = path.partition("/")[0]
    shutil.copytree(getattr(videos, kind), origin.folder / kind)
    folder = tmp_path / "job"
    folder.mkdir()
    policy, limits = Policy(frozenset({origin.host_port})), Limits(max_bytes=10**9)
    found = download(Source(origin.url(f"/{path}")), folder, policy=policy, limits=limits, progress=Progress())
    assert needs_remux(found)
    remux_to_mp4(found.path, folder / "x.mp4", container=found.container)
    prove(folder / "x.mp4", probe(folder / "x.mp4"), expected_duration=found.expected_duration)
    assert frame_hashes(folder / "x.mp4") == frame_hashes(videos.mp4)


def test_index_of_a_remuxed_file_is_in_front(videos: Videos, tmp_path: Path) -> None:
    remux_to_mp4(videos.mkv, tmp_path / "x.mp4")
    names = [name for name, _ in walk_boxes(tmp_path / "x.mp4")]
    assert names.index(b"moov") < names.index(b"mdat")


def test_codec_that_mp4_can_not_hold_is_named(tmp_path: Path) -> None:
    source = tmp_path / "x.mkv"
    command = "-f lavfi -i testsrc2=d=1:s=64x64 -c:v wmv2"
    subprocess.run([find_tools().ffmpeg, "-v", "error", *command.split(), str(source)], check=True)
    with pytest.raises(BadSource, match="MP4 can't hold"):
        remux_to_mp4(source, tmp_path / "x.mp4")
    assert list(tmp_path.iterdir()) == [source]


def test_remuxing_keeps_to_its_memory(videos: Videos, tmp_path: Path) -> None:
    with pytest.raises(BadSource):
        remux_to_mp4(videos.mkv, tmp_path / "x.mp4", tools=find_tools(caps=Caps(memory=20 * 1024**2)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov"])
def test_truncated_file_is_found(kind: str, share: float, videos: Videos, tmp_path: Path) -> None:
    source = getattr(videos, kind)
    content = source.read_bytes()
    path = damaged(source, tmp_path, content[: int(len(content) * share)])
    with pytest.raises(BadSource):
        check(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_matroska_is_not_remuxed(share: float, videos: Videos, tmp_path: Path) -> None:
    content = videos.mkv.read_bytes()
    path = damaged(videos.mkv, tmp_path, content[: int(len(content) * share)])
    with pytest.raises(BadSource, match="damaged"):
        remux_to_mp4(path, tmp_path / "x.mp4", container="matroska")


def test_truncated_mp4_is_found_by_its_boxes(videos: Videos, tmp_path: Path) -> None:
    path = damaged(videos.mp4, tmp_path, videos.mp4.read_bytes()[:-1])
    with pytest.raises(BadSource, match="cut off: its part 'mdat'"):
        prove(path, probe(videos.mp4), expected_duration=None)


def test_bytes_behind_the_last_box_are_found(videos: Videos, tmp_path: Path) -> None:
    path = damaged(videos.mp4, tmp_path, videos.mp4.read_bytes() + b"<html>")
    with pytest.raises(BadSource, match="within the header"):
        check(path)


def test_missing_segment_is_found_by_duration(videos: Videos, tmp_path: Path) -> None:
    joined = tmp_path / "x.ts"
    joined.write_bytes(b"".join((videos.hls_ts / f"seg{n}.ts").read_bytes() for n in range(SECONDS - 2)))
    remux_to_mp4(joined, tmp_path / "x.mp4")
    with pytest.raises(BadSource, match=r"4\.0 s long, but the source announced 6\.0 s"):
        check(tmp_path / "x.mp4")


def test_zeroed_stretch_is_found_by_reading(videos: Videos, tmp_path: Path) -> None:
    content = bytearray(videos.mp4.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = bytes(8192)
    with pytest.raises(BadSource, match="damaged"):
        check(damaged(videos.mp4, tmp_path, bytes(content)))


def test_audio_alone_is_no_video(videos: Videos) -> None:
    with pytest.raises(BadSource, match="no video stream"):
        check(videos.audio)


def test_video_without_duration_is_refused(videos: Videos) -> None:
    with pytest.raises(BadSource, match="no duration"):
        prove(videos.mp4, replace(probe(videos.mp4), duration=0.0), expected_duration=None)


def test_hash_is_that_of_the_file(videos: Videos) -> None:
    seen = Progress()
    assert sha256_file(videos.mp4, seen) == hashlib.sha256(videos.mp4.read_bytes()).hexdigest()
    assert seen.bytes_done == seen.bytes_total == videos.mp4.stat().st_size
