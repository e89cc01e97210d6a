"""Holes in a video's time: which are damage, which are only told."""

from __future__ import annotations

from pathlib import Path

import pytest

from queue_app.failures import BadSource
from queue_app.media.complaints import Complaints
from queue_app.media.holes import Segments, find_holes
from queue_app.media.lengths import check_lengths
from queue_app.media.packets import Timeline, Track
from queue_app.media.probe import StreamInfo, probe
from queue_app.media.proof import prove
from queue_app.media.report import ProofReport
from tests.servers.videos import Videos
from tests.unit.specimens import PICTURE, SOUND, X264, Specimens, ffmpeg

MISSING = r"noise=drop=between(pts*tb\,1\,2.99)"
"""A bit stream filter that loses the packets of two seconds; the next picture is a key frame."""


def video(*stretches: tuple[float, float], key: bool = True, rate: float = 25.0) -> Track:
    """A video track with data in these stretches only, each of which begins with a key frame or not."""
    return track("video", "h264", stretches, 1 / rate, flags="K__" if key else "___")


def sound(*stretches: tuple[float, float], codec: str = "aac", index: int = 1) -> Track:
    return track("audio", codec, stretches, 1024 / 48000, index=index)


def track(
    kind: str, codec: str, stretches: tuple[tuple[float, float], ...], step: float, index: int = 0, flags: str = "K__"
) -> Track:
    found = Track(StreamInfo(index, kind, codec))
    for start, end in stretches:
        for n in range(round((end - start) / step)):
            found.add(start + n * step, start + n * step, step, 100, flags)
    found.finish()
    return found


def damage(*tracks: Track, segments: Segments | None = None) -> list[tuple[float, tuple[int, ...]]]:
    """Where damage begins, to a tenth of a second, and in which streams."""
    holes = find_holes(Timeline(tracks, Complaints()), segments)
    return [(round(hole.start, 1), hole.streams) for hole in holes if hole.damage]


def told(*tracks: Track, segments: Segments | None = None) -> int:
    return sum(not hole.damage for hole in find_holes(Timeline(tracks, Complaints()), segments))


WHOLE, HOLED = ((0.0, 60.0),), ((0.0, 20.0), (26.0, 60.0))


def test_no_hole_is_found_where_none_is() -> None:
    assert find_holes(Timeline((video(*WHOLE), sound(*WHOLE)), Complaints()), Segments()) == []


@pytest.mark.parametrize("segments", [None, Segments()])
def test_hole_in_all_streams_is_damage(segments: Segments | None) -> None:
    assert damage(video(*HOLED), sound(*HOLED), sound(*HOLED, index=2), segments=segments) == [(20.0, (0, 1, 2))]


def test_hole_of_a_video_that_stands_still_is_told() -> None:
    for segments in (None, Segments()):
        assert damage(video(*HOLED), sound(*WHOLE), segments=segments) == []
        assert told(video(*HOLED), sound(*WHOLE), segments=segments) == 1


def test_hole_of_one_sound_is_damage_in_a_playlist_only() -> None:
    tracks = video(*WHOLE), sound(*WHOLE), sound(*HOLED, index=2)
    assert damage(*tracks, segments=Segments()) == [(20.0, (2,))]
    assert (damage(*tracks), told(*tracks)) == ([], 1)


def test_sound_a_little_shorter_at_a_joint_is_told() -> None:
    tracks = video(*WHOLE), sound((0.0, 20.0), (20.7, 60.0))
    assert (damage(*tracks, segments=Segments()), told(*tracks, segments=Segments())) == ([], 1)


def test_video_without_sound_may_stand_still_in_a_file() -> None:
    assert (damage(video(*HOLED)), told(video(*HOLED))) == ([], 1)


def test_video_without_sound_misses_a_segment_where_a_key_frame_follows() -> None:
    assert damage(video(*HOLED), segments=Segments()) == [(20.0, (0,))]
    assert damage(video(*HOLED, key=False), segments=Segments()) == []


def test_silence_that_opus_does_not_send_is_no_damage_of_a_file() -> None:
    tracks = video(*HOLED, key=False), sound(*HOLED, codec="opus")
    assert (damage(*tracks), told(*tracks)) == ([], 1)
    assert damage(video(*HOLED), sound(*HOLED, codec="opus")) == [(20.0, (0, 1))]
    assert damage(*tracks, segments=Segments()) == [(20.0, (0, 1))]


def test_sound_that_has_ended_has_no_say() -> None:
    tracks = video((0.0, 20.0), (26.0, 60.0), key=False), sound((0.0, 10.0))
    assert (damage(*tracks), told(*tracks)) == ([], 1)


def test_hole_where_the_caller_accepts_it_is_told() -> None:
    tracks = video(*HOLED), sound(*HOLED)
    assert damage(*tracks, segments=Segments(accepted=((20.0, 26.0),))) == []
    assert damage(*tracks, segments=Segments(accepted=((40.0, 46.0),))) == [(20.0, (0, 1))]


def test_slides_have_no_holes() -> None:
    assert find_holes(Timeline((video((0.0, 60.0), rate=0.1), sound(*WHOLE)), Complaints()), None) == []


def test_pictures_out_of_order_make_no_hole() -> None:
    found = Track(StreamInfo(0, "video", "hevc"))
    for group in range(100):
        for n, place in enumerate([15, *range(15)]):
            found.add((group * 16 + place) * 0.1, (group * 16 + n) * 0.1, 0.1, 100, "___")
    found.finish()
    assert (list(found.gaps()), found.median, found.backward) == ([], 0.1, 0)


def test_times_that_go_back_or_stand_still_are_counted() -> None:
    found = Track(StreamInfo(0, "video", "h264"))
    for time in (0.0, 0.04, 0.04, 0.08, 0.02):
        found.add(time, time, 0.04, 100, "___")
    assert (found.repeated, found.backward) == (1, 1)


def test_memory_does_not_grow_with_holes() -> None:
    found = Track(StreamInfo(0, "video", "h264"))
    for n in range(250_000):
        found.add(n * 1.0 + n * n * 0.001, None, 0.0, 1, "___")
    found.finish()
    assert len(list(found.gaps())) <= 200_000


def holed(folder: Path, suffix: str, *filters: str) -> Path:
    """Ten seconds of video and sound through bit stream filters."""
    longer = (PICTURE.replace("d=4", "d=10"), SOUND.replace("d=4", "d=10"))
    source = folder / "source.mp4"
    if not source.exists():
        ffmpeg(folder, f"{' '.join(longer)} {X264} -c:a aac", source.name)
    return ffmpeg(folder, f"-i {source} -c copy {' '.join(filters)}", f"x{suffix}")


def proof(path: Path, segments: Segments | None = None) -> ProofReport:
    return prove(path, probe(path), expected_duration=10.0, segments=segments)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_lost_packets_of_video_and_sound_are_found(suffix: str, tmp_path: Path) -> None:
    path = holed(tmp_path, suffix, f"-bsf:v '{MISSING}' -bsf:a '{MISSING}'")
    with pytest.raises(BadSource, match=r"no data for (1\.9|2\.0) s from 0:00:01 on in stream 0, 1"):
        proof(path)


def test_lost_packets_of_the_sound_are_found_in_a_playlist(tmp_path: Path) -> None:
    path = holed(tmp_path, ".mp4", f"-bsf:a '{MISSING}'")
    assert any("from 0:00:01 on in stream 1" in warning for warning in proof(path).warnings)
    with pytest.raises(BadSource, match="0:00:01 on in stream 1"):
        proof(path, Segments())


def test_segment_missing_in_the_middle_is_found(videos: Videos, tmp_path: Path) -> None:
    joined = tmp_path / "x.ts"
    joined.write_bytes(b"".join((videos.hls_ts / f"seg{n}.ts").read_bytes() for n in (0, 1, 2, 4, 5)))
    ffmpeg(tmp_path, "-i x.ts -c copy", "x.mp4")
    with pytest.raises(BadSource, match=r"no data for (0\.9|1\.0) s from 0:00:03 on in stream 0, 1"):
        prove(tmp_path / "x.mp4", probe(tmp_path / "x.mp4"), expected_duration=6.0, segments=Segments())


def test_video_that_ends_before_the_sound_is_cut_off(tmp_path: Path) -> None:
    path = holed(tmp_path, ".mp4", r"-bsf:v 'noise=drop=gt(pts*tb\,6)'")
    with pytest.raises(BadSource, match=r"video \(stream 0\) ends 4\.0 s before the rest: parts of it are missing"):
        proof(path, Segments())
    assert any("ends 4.0 s before the rest" in warning for warning in proof(path).warnings)


def test_video_that_ends_long_before_the_sound_is_cut_off_in_a_file_too(specimens: Specimens, tmp_path: Path) -> None:
    path = ffmpeg(tmp_path, f"-i {specimens['long.mp4']} -c copy -bsf:v 'noise=drop=gt(pts*tb\\,50)'", "x.mp4")
    with pytest.raises(BadSource, match=r"ends 40\.0 s before the rest"):
        prove(path, probe(path), expected_duration=None)


def test_video_that_begins_late_is_cut_off_in_a_playlist(tmp_path: Path) -> None:
    path = holed(tmp_path, ".mp4", r"-bsf:v 'noise=drop=lt(pts*tb\,3)'")
    with pytest.raises(BadSource, match=r"begins 3\.0 s after the rest"):
        proof(path, Segments())


def test_file_that_promises_more_than_it_holds_is_refused(specimens: Specimens, tmp_path: Path) -> None:
    found = specimens["long.mkv"].read_bytes()
    cluster = found.rindex(b"\x1f\x43\xb6\x75", 0, len(found) * 3 // 4)
    cut = bytearray(found[:cluster])
    segment = cut.index(b"\x18\x53\x80\x67") + 4
    cut[segment : segment + 8] = b"\x01" + (len(cut) - segment - 8).to_bytes(7, "big")
    path = tmp_path / "x.mkv"
    path.write_bytes(cut)
    with pytest.raises(BadSource, match=r"says that it lasts 90\.\d s, but its video and sound last"):
        prove(path, probe(path), expected_duration=None)


def test_disorder_of_times_is_told_where_it_is_more_than_a_cut(specimens: Specimens) -> None:
    found = Track(StreamInfo(0, "video", "h264"))
    for n in range(100):
        found.add(n // 2 * 0.04, n // 2 * 0.04, 0.04, 100, "___")
    found.add(0.0, 0.0, 0.04, 100, "___")
    found.finish()
    told = check_lengths(Timeline((found,), Complaints()), probe(specimens["tiny.mp4"]), segmented=False)
    assert told == [
        "The video (stream 0) jumps back in time 1 times.",
        "The video (stream 0) has 50 packets with the time of the one before.",
    ]


def test_sound_without_data_is_told_and_refused_in_a_playlist(tmp_path: Path) -> None:
    path = holed(tmp_path, ".mkv", "-bsf:a 'noise=drop=1'")
    assert "The audio (stream 1) has no data at all." in proof(path).warnings
    with pytest.raises(BadSource, match=r"announces audio \(stream 1\), but holds none"):
        proof(path, Segments())
