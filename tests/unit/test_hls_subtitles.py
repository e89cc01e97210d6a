"""Subtitles are kept as whole WebVTT files whose times fit the video; trouble with them never fails it."""

from __future__ import annotations

from pathlib import Path

import pytest

from queue_app.media.webvtt import Joined
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.streams import clip, cut, fmp4
from tests.unit.streams import fetch

PAGE = """WEBVTT
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{}

STYLE
::cue {{ color: red }}

NOTE a remark

{}
"""


def cue(start: int, text: str, settings: str = "") -> str:
    return f"00:{start:02}.000 --> 00:{start + 1:02}.500{settings}\n{text}"


@pytest.fixture
def stream(origin: Origin, tmp_path: Path) -> str:
    """A master playlist whose video begins at 10 s by its clock; s.m3u8 is for the subtitles."""
    cut(clip(tmp_path), origin.folder / "v", "-output_ts_offset", "10", name="v")
    media = '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="s.m3u8"\n'
    origin.put("/v/m.m3u8", f'#EXTM3U\n{media}#EXT-X-STREAM-INF:BANDWIDTH=1,SUBTITLES="s"\nv.m3u8\n'.encode())
    lines = "".join(f"#EXTINF:2,\ns{n}.vtt\n" for n in range(2))
    origin.put("/v/s.m3u8", f"#EXTM3U\n{lines}#EXT-X-ENDLIST\n".encode())
    return "/v/m.m3u8"


def test_segments_become_one_file_on_the_video_s_clock(origin: Origin, stream: str, tmp_path: Path) -> None:
    # By default ffmpeg's MPEG-TS begins 1.4 s after what it was told, and sound 21 ms before the pictures.
    zero = round((10 + 1.4 + 0.0373) * 90_000)
    origin.put("/v/s0.vtt", PAGE.format(zero, cue(0, "one", " line:0") + "\n\n" + cue(1, "two")).encode())
    origin.put("/v/s1.vtt", b"\xef\xbb\xbf" + PAGE.format(zero, cue(1, "two") + "\n\n" + cue(3, "three")).encode())
    (found,) = fetch(origin, stream, tmp_path / "job").subtitles
    text = found.path.read_text()
    assert (found.language, found.name) == ("en", "English")
    assert text.startswith("WEBVTT\n\nSTYLE\n::cue { color: red }\n\n00:00:00.")
    assert [text.count(word) for word in ("one", "two", "three", "STYLE", "NOTE", "X-TIMESTAMP")] == [1, 1, 1, 1, 0, 0]
    first = float(text.split("00:00:0")[1].split(" ")[0])
    assert first == pytest.approx(0.0, abs=0.06)
    assert "line:0" in text


def test_subtitles_without_a_map_count_from_the_beginning(origin: Origin, stream: str, tmp_path: Path) -> None:
    for n in range(2):
        origin.put(f"/v/s{n}.vtt", f"WEBVTT\r\n\r\n{n}\r\n{cue(n + 1, 'x')}\r\n".encode())
    (found,) = fetch(origin, stream, tmp_path / "job").subtitles
    assert found.path.read_text() == (
        "WEBVTT\n\n0\n00:00:01.000 --> 00:00:02.500\nx\n\n1\n00:00:02.000 --> 00:00:03.500\nx\n"
    )


@pytest.mark.parametrize(
    "trouble",
    [servers.Status(code=404), servers.Status(code=403), servers.Body(content=b"<html>"), servers.Cut(after=10)],
)
@pytest.mark.parametrize("path", ["/v/s.m3u8", "/v/s1.vtt"])
def test_trouble_with_subtitles_does_not_fail_the_video(
    trouble: servers.Misbehaviour, path: str, origin: Origin, stream: str, tmp_path: Path
) -> None:
    for n in range(2):
        origin.put(f"/v/s{n}.vtt", b"WEBVTT\n\n" + cue(n, "x").encode())
    origin.misbehave(path, trouble)
    found = fetch(origin, stream, tmp_path / "job")
    assert (found.subtitles, found.expected_duration) == ((), 4.0)


def test_fragmented_video_begins_where_its_fragments_say(origin: Origin, stream: str, tmp_path: Path) -> None:
    playlist = cut(clip(tmp_path), origin.folder / "v", *fmp4("v"), name="v")
    playlist.write_text(playlist.read_text().replace("#EXTINF:1.000000,\nv-0.m4s\n", ""))
    for n in range(2):
        origin.put(f"/v/s{n}.vtt", PAGE.format(90_000, cue(n, "x")).encode())
    (found,) = fetch(origin, stream, tmp_path / "job").subtitles
    starts = [line.split(" ")[0] for line in found.path.read_text().splitlines() if "-->" in line]
    assert [float(start[6:]) for start in starts] == [pytest.approx(n, abs=0.15) for n in range(2)]


def test_a_discontinuity_moves_the_subtitles_with_the_video(origin: Origin, stream: str, tmp_path: Path) -> None:
    for n, offset in ((0, 100), (1, 5)):
        cut(clip(tmp_path, 2), origin.folder / "v", "-output_ts_offset", str(offset), name=f"p{n}")
        origin.put(f"/v/s{n}.vtt", PAGE.format(round((offset + 1.4) * 90_000), cue(1, f"part {n}")).encode())
    texts = [(origin.folder / f"v/p{n}.m3u8").read_text() for n in range(2)]
    bodies = ["\n".join(x for x in t.splitlines() if x.startswith(("#EXTINF", "p"))) for t in texts]
    origin.put("/v/v.m3u8", ("#EXTM3U\n" + "\n#EXT-X-DISCONTINUITY\n".join(bodies) + "\n#EXT-X-ENDLIST\n").encode())
    lines = "#EXTINF:2,\ns0.vtt\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\ns1.vtt\n"
    origin.put("/v/s.m3u8", f"#EXTM3U\n{lines}#EXT-X-ENDLIST\n".encode())
    (found,) = fetch(origin, stream, tmp_path / "job").subtitles
    starts = [line.split(" ")[0] for line in found.path.read_text().splitlines() if "-->" in line]
    seconds = [int(start[3:5]) * 60 + float(start[6:]) for start in starts]
    assert seconds == [pytest.approx(1, abs=0.15), pytest.approx(3, abs=0.15)]


@pytest.mark.parametrize(
    "text",
    ["", "WEBVTT", "WEBVTT\n\n--> ", "WEBVTT\n\n99:99 --> x\n", "WEBVTT\nX-TIMESTAMP-MAP=,:,\n\n" + cue(1, "a --> b")],
)
def test_odd_webvtt_is_read_as_far_as_it_goes(text: str) -> None:
    joined = Joined()
    joined.add(text, lambda _zero: 0.0)
    assert str(joined).startswith("WEBVTT\n")
