"""Probing, remuxing and proving real files, and what is done to damaged and hostile ones."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from archive_site.safe_http import Policy
from queue_app.downloaders import Limits, Progress, Source, download
from queue_app.failures import BadSource, Cancelled, Internal, Transient
from queue_app.media.boxes import walk_boxes
from queue_app.media.ffmpeg import find_tools, run
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


def test_few_bad_bytes_are_found_by_decoding_only(videos: Videos, tmp_path: Path) -> None:
    content = bytearray(videos.mp4.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path = damaged(videos.mp4, tmp_path, bytes(content))
    check(path)
    with pytest.raises(BadSource, match="damaged"):
        prove(path, probe(path), expected_duration=SECONDS, decode=True)


def test_whole_file_decodes(videos: Videos) -> None:
    prove(videos.mp4, probe(videos.mp4), expected_duration=SECONDS, decode=True)


def test_audio_alone_is_no_video(videos: Videos) -> None:
    with pytest.raises(BadSource, match="no video stream"):
        check(videos.audio)


def test_video_without_duration_is_refused(videos: Videos) -> None:
    with pytest.raises(BadSource, match="no duration"):
        prove(videos.mp4, replace(probe(videos.mp4), duration=0.0), expected_duration=None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><html></html>",
        b"\x00\x00\x00\x18ftypisom" + bytes(1000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '{}'\n",
        b'<MPD type="static" mediaPresentationDuration="PT6S"><Period><AdaptationSet mimeType="video/mp4">'
        b'<Representation id="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    ],
    ids=["empty", "html", "hollow", "playlist", "ffconcat", "dash"],
)
def test_mp4_that_is_something_else_opens_nothing(content: bytes, videos: Videos, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content.replace(b"{}", str(videos.ts).encode()))
    with pytest.raises(BadSource):
        probe(path)
    with pytest.raises(BadSource):
        remux_to_mp4(path, tmp_path / "y.mp4")
    assert list(tmp_path.iterdir()) == [path]


def test_message_holds_no_path(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypisom" + bytes(1000))
    with pytest.raises(BadSource) as caught:
        probe(path)
    assert str(tmp_path) not in str(caught.value)


def test_program_that_takes_too_long_is_stopped() -> None:
    endless = [find_tools().ffmpeg, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2", "-f", "null", "-"]
    with pytest.raises(Transient, match="took longer"):
        run(endless, timeout=0.2)


def test_program_is_killed_when_its_job_is_cancelled() -> None:
    def cancel() -> None:
        raise Cancelled

    endless = [find_tools().ffmpeg, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2", "-f", "null", "-"]
    started = time.monotonic()
    with pytest.raises(Cancelled):
        run(endless, timeout=60, cancelled=cancel)
    assert time.monotonic() - started < 2


def test_complaints_are_kept_to_their_end() -> None:
    script = "import sys; sys.stderr.write('x' * 100_000 + 'end'); sys.exit(3)"
    result = run([sys.executable, "-c", script], timeout=10)
    assert (result.returncode, len(result.stderr), result.stderr[-3:]) == (3, 4096, "end")


def test_named_programs_win_over_the_bundled_ones() -> None:
    assert find_tools("/opt/ffmpeg", "/opt/ffprobe").ffmpeg == "/opt/ffmpeg"


def test_bundled_program_is_the_static_one() -> None:
    assert "ubuntu" not in find_tools().ffmpeg


def test_machine_without_a_bundled_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(Internal, match="set FFMPEG to its path"):
        find_tools()


def test_hash_is_that_of_the_file(videos: Videos) -> None:
    seen = Progress()
    assert sha256_file(videos.mp4, seen) == hashlib.sha256(videos.mp4.read_bytes()).hexdigest()
    assert seen.bytes_done == seen.bytes_total == videos.mp4.stat().st_size
