"""Every kind of HLS stream becomes an MP4 with exactly the frames of its source, at the right times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from queue_app.failures import BadSource
from queue_app.media.boxes import walk_boxes
from queue_app.media.ffmpeg import find_tools
from queue_app.media.join import join_to_mp4
from queue_app.media.probe import probe
from queue_app.media.proof import prove
from queue_app.media.remux import remux_to_mp4
from tests.servers.origin import Origin
from tests.servers.streams import chained, clip, cut, encrypt_all, encrypted_by_ffmpeg, ffmpeg, fmp4
from tests.servers.videos import frame_hashes
from tests.unit.streams import LIMITS, archive, fetch, packets, widest_gap


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where clips are kept over all tests."""
    return tmp_path_factory.mktemp("clips")


def fmp4_encrypted(source: Path, folder: Path) -> Path:
    playlist = cut(source, folder, *fmp4())
    encrypt_all(playlist)
    return playlist


KINDS: dict[str, Callable[[Path, Path], Path]] = {
    "ts": cut,
    "fmp4": lambda source, folder: cut(source, folder, *fmp4()),
    "explicit IV": lambda source, folder: encrypted_by_ffmpeg(source, folder, iv=True),
    "implicit IV": encrypted_by_ffmpeg,
    "key rotation": lambda source, folder: encrypted_by_ffmpeg(source, folder, rotating=True),
    "fmp4 with encrypted map": fmp4_encrypted,
    "byte range": lambda source, folder: cut(source, folder, "-hls_flags", "single_file"),
    "fmp4 byte range": lambda source, folder: cut(
        source, folder, "-hls_flags", "single_file", "-hls_segment_type", "fmp4"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_of_the_source_arrives(kind: str, origin: Origin, clips: Path, tmp_path: Path) -> None:
    source = clip(clips)
    KINDS[kind](source, origin.folder / "v")
    mp4 = archive(origin, "/v/index.m3u8", tmp_path / "job")
    assert frame_hashes(mp4) == frame_hashes(source)
    assert widest_gap(packets(mp4)) == pytest.approx(0.04, abs=0.002)


@pytest.mark.parametrize("kind", ["ts", "fmp4", "implicit IV", "byte range"])
def test_an_mp4_is_made_while_the_stream_arrives(kind: str, origin: Origin, clips: Path, tmp_path: Path) -> None:
    source = clip(clips)
    KINDS[kind](source, origin.folder / "v")
    found = fetch(origin, "/v/index.m3u8", tmp_path / "job", replace(LIMITS, tools=find_tools()))
    assert found.mp4 is not None
    prove(found.mp4, probe(found.mp4), expected_duration=4)
    assert frame_hashes(found.mp4) == frame_hashes(source)
    again = tmp_path / "again.mp4"
    remux_to_mp4(found.path, again)
    assert packets(found.mp4) == packets(again)


@pytest.mark.parametrize("large", [False, True])
def test_index_is_in_front_of_what_was_made_while_it_arrived(
    large: bool, origin: Origin, clips: Path, tmp_path: Path
) -> None:
    source = clip(clips)
    if large:
        ffmpeg("-i", str(source), "-c:v", "rawvideo", "-c:a", "copy", "big.mkv", cwd=tmp_path)
        ffmpeg(
            "-i",
            "big.mkv",
            "-c:v",
            "libx264",
            "-qp",
            "0",
            "-preset",
            "ultrafast",
            "-c:a",
            "copy",
            "big.mp4",
            cwd=tmp_path,
        )
        source = tmp_path / "big.mp4"
    cut(source, origin.folder / "v")
    found = fetch(origin, "/v/index.m3u8", tmp_path / "job", replace(LIMITS, tools=find_tools()))
    assert found.mp4 is not None
    names, sizes = zip(*walk_boxes(found.mp4), strict=True)
    assert names.index(b"moov") < names.index(b"mdat")
    assert (sizes[names.index(b"free")] > 1000) == large


def test_what_goes_wrong_while_it_arrives_is_left_to_the_end(origin: Origin, clips: Path, tmp_path: Path) -> None:
    cut(clip(clips), origin.folder / "v")
    tools = replace(find_tools(), ffmpeg="/bin/false")
    found = fetch(origin, "/v/index.m3u8", tmp_path / "job", replace(LIMITS, tools=tools))
    assert found.mp4 is None
    assert {path.name for path in (tmp_path / "job").iterdir()} == {"stream.json", "stream-0-0.ts"}


def all_hashes(sources: list[Path]) -> list[str]:
    """What the clips have one after another: first the pictures, then the sound."""
    hashes, count = [frame_hashes(source) for source in sources], [len(packets(source)) for source in sources]
    pictures = [each for found, n in zip(hashes, count, strict=True) for each in found[:n]]
    return pictures + [each for found, n in zip(hashes, count, strict=True) for each in found[n:]]


@pytest.mark.parametrize("options", [[], fmp4()], ids=["ts", "fmp4"])
@pytest.mark.parametrize(
    "second",
    [{"tone": 880}, {"size": "640x360"}, {"size": "640x360", "seconds": 2}],
    ids=["timestamps begin anew", "another resolution", "another length"],
)
def test_every_frame_survives_a_discontinuity(
    second: dict[str, object], options: list[str], origin: Origin, clips: Path, tmp_path: Path
) -> None:
    sources = [clip(clips), clip(clips, **second), clip(clips)]
    names = [[option.replace("index", f"p{n}") for option in options] for n in range(3)]
    parts = [cut(s, origin.folder / "v", *names[n], name=f"p{n}") for n, s in enumerate(sources)]
    chained(origin.folder / "v/index.m3u8", *parts)
    mp4 = archive(origin, "/v/index.m3u8", tmp_path / "job")
    assert frame_hashes(mp4) == all_hashes(sources)
    assert widest_gap(packets(mp4)) < 0.1
    assert widest_gap(packets(mp4, "a:0")) < 0.15


@pytest.mark.parametrize("options", [[], fmp4()], ids=["ts", "fmp4"])
def test_hevc_survives_another_resolution(options: list[str], origin: Origin, clips: Path, tmp_path: Path) -> None:
    sources = [clip(clips, 2, hevc=True), clip(clips, 2, "640x360", hevc=True)]
    names = [[option.replace("index", f"p{n}") for option in options] for n in range(2)]
    parts = [cut(s, origin.folder / "v", *names[n], name=f"p{n}") for n, s in enumerate(sources)]
    chained(origin.folder / "v/index.m3u8", *parts)
    mp4 = archive(origin, "/v/index.m3u8", tmp_path / "job")
    assert frame_hashes(mp4) == all_hashes(sources)


def test_another_codec_is_refused_by_name(origin: Origin, clips: Path, tmp_path: Path) -> None:
    parts = [cut(clip(clips, 2, hevc=h), origin.folder / "v", name=f"p{h}") for h in (False, True)]
    chained(origin.folder / "v/index.m3u8", *parts)
    with pytest.raises(BadSource, match="changes its video from h264 to hevc"):
        archive(origin, "/v/index.m3u8", tmp_path / "job")


@pytest.mark.parametrize("options", [[], fmp4()], ids=["ts", "fmp4"])
def test_sound_at_another_rate_is_made_like_the_rest(
    options: list[str], origin: Origin, clips: Path, tmp_path: Path
) -> None:
    sources = [clip(clips), clip(clips, 2, tone=440, rate=44100)]
    names = [[option.replace("index", f"p{n}") for option in options] for n in range(2)]
    parts = [cut(s, origin.folder / "v", *names[n], name=f"p{n}") for n, s in enumerate(sources)]
    chained(origin.folder / "v/index.m3u8", *parts)
    mp4 = archive(origin, "/v/index.m3u8", tmp_path / "job")
    count = sum(len(packets(source)) for source in sources)
    assert frame_hashes(mp4)[:count] == all_hashes(sources)[:count]
    assert frame_hashes(mp4)[count : count + 180] == frame_hashes(sources[0])[100:280]
    assert widest_gap(packets(mp4, "a:0")) < 0.1
    assert packets(mp4, "a:0")[-1] == pytest.approx(6, abs=0.1)


def test_group_without_sound_leaves_a_silence(origin: Origin, clips: Path, tmp_path: Path) -> None:
    silent = ["-map", "0:v"]
    parts = [cut(clip(clips), origin.folder / "v", *(silent if n else []), name=f"p{n}") for n in range(2)]
    chained(origin.folder / "v/index.m3u8", *parts)
    found = fetch(origin, "/v/index.m3u8", tmp_path / "job")
    join_to_mp4(found, tmp_path / "x.mp4")
    assert frame_hashes(tmp_path / "x.mp4")[:100] == frame_hashes(clip(clips))[:100]
    assert packets(tmp_path / "x.mp4", "a:0")[-1] == pytest.approx(4, abs=0.1)


def test_sound_that_only_begins_later_is_refused(origin: Origin, clips: Path, tmp_path: Path) -> None:
    silent = ["-map", "0:v"]
    parts = [cut(clip(clips), origin.folder / "v", *([] if n else silent), name=f"p{n}") for n in range(2)]
    chained(origin.folder / "v/index.m3u8", *parts)
    with pytest.raises(BadSource, match="more sound tracks"):
        archive(origin, "/v/index.m3u8", tmp_path / "job")


def master(origin: Origin, *media: str) -> str:
    """A master playlist in /v with these further tags, and v.m3u8 as its variant."""
    tags = "".join(f"#EXT-X-MEDIA:{each}\n" for each in media)
    stream = '#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=320x180,AUDIO="a",SUBTITLES="s"\nv.m3u8\n'
    origin.put("/v/master.m3u8", f"#EXTM3U\n{tags}{stream}".encode())
    return "/v/master.m3u8"


def tones(clips: Path) -> tuple[Path, Path]:
    return clip(clips), clip(clips, tone=880)


def separate(origin: Origin, clips: Path, options: list[str], audio_suffix: str = "") -> str:
    """Pictures and two sound tracks in playlists of their own, all on one clock that begins at 10 s."""
    first, second = tones(clips)
    shift, folder = ["-output_ts_offset", "10"], origin.folder / "v"
    cut(first, folder, "-map", "0:v", *shift, *[o.replace("index", "v") for o in options], name="v")
    for name, source in (("a", first), ("b", second)):
        cut(source, folder, "-map", "0:a", *shift, *[o.replace("index", name) for o in options], name=name)
    return master(
        origin,
        'TYPE=AUDIO,GROUP-ID="a",NAME="Japanese",LANGUAGE="ja",URI="b.m3u8"',
        'TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="a.m3u8"',
        'TYPE=AUDIO,GROUP-ID="other",NAME="No",URI="none.m3u8"',
    )


@pytest.mark.parametrize("options", [[], fmp4()], ids=["ts", "fmp4"])
def test_separate_sound_is_put_in_at_its_place(options: list[str], origin: Origin, clips: Path, tmp_path: Path) -> None:
    mp4 = archive(origin, separate(origin, clips, options), tmp_path / "job")
    first, second = tones(clips)
    assert frame_hashes(mp4, sound="0:a:0") == frame_hashes(first)
    assert frame_hashes(mp4, sound="0:a:1") == frame_hashes(second)
    assert [stream.language for stream in probe(mp4).of_kind("audio")] == ["eng", "jpn"]
    apart = packets(first)[0] - packets(first, "a:0")[0]
    for sound in ("a:0", "a:1"):
        assert packets(mp4)[0] - packets(mp4, sound)[0] == pytest.approx(apart, abs=0.03)


@pytest.mark.parametrize("options", [[], fmp4()], ids=["ts", "fmp4"])
def test_separate_sound_stays_in_place_after_a_discontinuity(
    options: list[str], origin: Origin, clips: Path, tmp_path: Path
) -> None:
    sources, folder = [clip(clips), clip(clips, 2, "640x360", 880)], origin.folder / "v"
    for track in "va":
        parts = []
        for n, (source, shift) in enumerate(zip(sources, ("10", "500"), strict=True)):
            named = [option.replace("index", f"{track}{n}-") for option in options]
            stream = ["-map", f"0:{track}", "-output_ts_offset", shift]
            parts.append(cut(source, folder, *stream, *named, name=f"{track}{n}-"))
        chained(folder / f"{track}.m3u8", *parts)
    mp4 = archive(origin, master(origin, 'TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"'), tmp_path / "job")
    assert frame_hashes(mp4) == all_hashes(sources)
    second, sound = packets(mp4)[100], packets(mp4, "a:0")[len(packets(sources[0], "a:0"))]
    apart = packets(sources[1])[0] - packets(sources[1], "a:0")[0]
    assert second - packets(mp4)[0] == pytest.approx(4, abs=0.06)
    assert second - sound == pytest.approx(apart, abs=0.06)


def test_sound_that_begins_late_stays_late(origin: Origin, clips: Path, tmp_path: Path) -> None:
    folder = origin.folder / "v"
    cut(clip(clips), folder, "-map", "0:v", "-output_ts_offset", "10", name="v")
    late = ["-output_ts_offset", "10.5", "-t", "3.4"]
    cut(clip(clips), folder, "-map", "0:a", *late, name="a")
    path = master(origin, 'TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"')
    mp4 = archive(origin, path, tmp_path / "job")
    assert packets(mp4, "a:0")[0] - packets(mp4)[0] == pytest.approx(0.5, abs=0.03)


def test_sound_stays_in_place_when_the_clock_begins_anew(origin: Origin, clips: Path, tmp_path: Path) -> None:
    wrap, folder = 2**33 / 90_000, origin.folder / "v"
    cut(clip(clips), folder, "-map", "0:v", "-output_ts_offset", f"{wrap - 1.6:.3f}", name="v")
    cut(clip(clips), folder, "-map", "0:a", "-output_ts_offset", f"{wrap - 1.1:.3f}", "-t", "3.4", name="a")
    path = master(origin, 'TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"')
    mp4 = archive(origin, path, tmp_path / "job")
    assert packets(mp4, "a:0")[0] - packets(mp4)[0] == pytest.approx(0.5, abs=0.03)


def test_packed_sound_begins_where_its_tag_says(origin: Origin, clips: Path, tmp_path: Path) -> None:
    folder = origin.folder / "v"
    cut(clip(clips), folder, "-map", "0:v", "-output_ts_offset", "10", name="v")
    ffmpeg("-i", str(clip(clips)), "-map", "0:a", "-c", "copy", "-t", "3.4", "-f", "adts", "a.aac", cwd=folder)
    stamp = b"com.apple.streaming.transportStreamTimestamp\x00" + round((11.4 + 0.5) * 90_000).to_bytes(8, "big")
    frame = b"PRIV" + len(stamp).to_bytes(4, "big") + b"\x00\x00" + stamp
    tag = b"ID3\x04\x00\x00\x00\x00\x00" + bytes([len(frame)]) + frame
    (folder / "a.aac").write_bytes(tag + (folder / "a.aac").read_bytes())
    (folder / "a.m3u8").write_text("#EXTM3U\n#EXTINF:3.4,\na.aac\n#EXT-X-ENDLIST\n")
    path = master(origin, 'TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"')
    mp4 = archive(origin, path, tmp_path / "job")
    assert packets(mp4, "a:0")[0] - packets(mp4)[0] == pytest.approx(0.5, abs=0.15)
