"""What ffmpeg may open, and what it may take of this host."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from queue_app.failures import BadSource, Cancelled, Failure, Internal, Transient
from queue_app.media.caps import Caps
from queue_app.media.ffmpeg import find_tools, local_input, run
from queue_app.media.probe import probe
from queue_app.media.proof import prove
from queue_app.media.remux import remux_to_mp4
from tests.servers.videos import Videos
from tests.unit.specimens import Specimens, ffmpeg

MIB = 1024**2
ENDLESS = ["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2", "-f", "null", "-"]


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
    endless = [find_tools().ffmpeg, *ENDLESS]
    with pytest.raises(Transient, match="took longer"):
        run(endless, timeout=0.2)


def test_program_is_killed_when_its_job_is_cancelled() -> None:
    def cancel() -> None:
        raise Cancelled

    endless = [find_tools().ffmpeg, *ENDLESS]
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


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '{}'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    ],
    ids=["playlist", "ffconcat", "SDP", "PNG"],
)
def test_ffmpeg_itself_refuses_what_is_no_container(content: bytes, videos: Videos, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content.replace(b"{}", str(videos.ts).encode()))
    found = run([find_tools().ffprobe, "-v", "error", "-show_packets", *local_input(path)], timeout=20)
    assert found.returncode != 0
    assert found.stdout in {b"", b"{\n\n}\n"}


def test_name_that_looks_like_a_protocol_is_a_file(videos: Videos, tmp_path: Path) -> None:
    path = tmp_path / "concat:a.mp4|b.mp4"
    path.write_bytes(videos.mp4.read_bytes())
    assert probe(path).of_kind("video")


def test_program_runs_within_its_caps() -> None:
    script = "import os, resource; print(os.nice(0), resource.getrlimit(resource.RLIMIT_AS))"
    result = run([sys.executable, "-c", script], timeout=10, caps=Caps(memory=512 * MIB, nice=7))
    assert result.stdout.decode().split(maxsplit=1) == [str(os.nice(0) + 7), f"({512 * MIB}, {512 * MIB})\n"]


def test_picture_that_takes_too_much_memory_is_the_files_fault(specimens: Specimens, tmp_path: Path) -> None:
    path = ffmpeg(tmp_path, "-f lavfi -i color=s=4096x4096:r=25:d=0.2 -c:v mjpeg -pix_fmt yuvj420p", "x.mov")
    probed = probe(path)
    prove(path, probed, expected_duration=None)
    with pytest.raises(BadSource, match=r"needs more than 0\.1 GiB of memory"):
        prove(path, probed, expected_duration=None, tools=find_tools(caps=Caps(memory=90 * MIB)))


def test_picture_beyond_all_bounds_is_refused_by_its_size(tmp_path: Path) -> None:
    path = ffmpeg(tmp_path, "-f lavfi -i color=s=16640x16:r=25:d=0.04 -c:v mjpeg -pix_fmt yuvj420p", "x.mov")
    with pytest.raises(BadSource, match="picture of 16640×16 pixels is too large"):
        probe(path)
    path = ffmpeg(tmp_path, "-f lavfi -i color=s=640x480:r=25:d=0.04 -c:v mjpeg -pix_fmt yuvj420p", "y.mov")
    with pytest.raises(BadSource, match="640×480"):
        probe(path, tools=find_tools(caps=Caps(max_pixels=640 * 479)))


def test_file_of_a_hundred_streams_is_refused(tmp_path: Path) -> None:
    maps = "-map 1:a " * 100
    options = f"-f lavfi -i testsrc2=s=64x48:d=0.2 -f lavfi -i sine=d=0.2 -map 0:v {maps} -c:a pcm_s16le"
    with pytest.raises(BadSource, match="has 101 streams; more than 100"):
        probe(ffmpeg(tmp_path, options, "x.mkv"))


def test_program_that_is_not_there_is_our_own_fault(videos: Videos) -> None:
    with pytest.raises(Internal, match="no program 'ffprobe-9'"):
        probe(videos.mp4, tools=find_tools(ffprobe="/opt/ffprobe-9"))


def test_program_that_the_system_killed_is_worth_another_try() -> None:
    with pytest.raises(Transient, match="system killed ffmpeg"):
        run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], timeout=10)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_program_that_was_told_to_stop_says_nothing_of_the_file(signum: signal.Signals) -> None:
    def tell() -> None:
        for child in psutil.Process().children(recursive=True):
            if "ffmpeg" in child.name():
                child.send_signal(signum)

    with pytest.raises(Transient, match="told to stop"):
        run([find_tools().ffmpeg, *ENDLESS], timeout=60, cancelled=tell)


def test_time_out_leaves_no_process(tmp_path: Path) -> None:
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(Transient, match="took longer"):
        run([sys.executable, "-c", script], timeout=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_proof_that_takes_too_long_is_stopped(specimens: Specimens) -> None:
    path = specimens["long.mp4"]
    with pytest.raises(Transient, match="took longer"):
        prove(path, probe(path), expected_duration=None, timeout=0.0)


def test_output_is_handed_on_line_by_line_and_not_kept() -> None:
    seen: list[str] = []
    script = "for n in range(100_000): print(n)"
    result = run([sys.executable, "-c", script], timeout=20, on_output=seen.extend)
    assert seen == [str(n) for n in range(100_000)]
    assert result.stdout == b""


def to_numbers(lines: list[str]) -> None:
    [int(line) for line in lines].clear()


def test_error_in_the_taker_of_lines_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        run([sys.executable, "-c", "print('x' * 100_000)"], timeout=20, on_output=to_numbers)


def test_details_of_a_failure_are_not_in_its_sentence() -> None:
    failure = BadSource("It is damaged.", details="line 1\nline 2")
    assert (str(failure), failure.details, Failure("x").details) == ("It is damaged.", "line 1\nline 2", "")
