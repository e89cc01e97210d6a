"""Which damage each mode of the proof finds, and which it does not: the table in `media/proof.py`, line by line."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from queue_app.failures import BadSource
from queue_app.media.ffmpeg import find_tools
from queue_app.media.probe import probe
from queue_app.media.proof import FULL, MODES, SAMPLED, prove
from tests.unit.specimens import Specimens, box, boxes, ffmpeg

EVERY_MODE, READING, DECODING, NONE = set(MODES), {SAMPLED, FULL}, {FULL}, set[str]()


def finding(path: Path) -> set[str]:
    """The modes that refuse a file without any announcement."""
    refused = set()
    for mode in MODES:
        try:
            prove(path, probe(path), expected_duration=None, mode=mode)
        except BadSource:
            refused.add(mode)
    return refused


def zeroed(content: bytes, start: int, length: int) -> bytes:
    return content[:start] + bytes(length) + content[start + length :]


def first_offset_changed(content: bytes, change: Callable[[int], int]) -> bytes:
    """The MP4 file with another place for the video's first chunk."""
    start, _ = box(content, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco")
    offset = struct.unpack(">I", content[start + 16 : start + 20])[0]
    return content[: start + 16] + struct.pack(">I", change(offset)) + content[start + 20 :]


def half_of_the_data_zeroed(content: bytes) -> bytes:
    start, end = box(content, b"mdat")
    return zeroed(content, (start + end) // 2, (end - start) // 2)


def all_data_zeroed(content: bytes) -> bytes:
    start, end = box(content, b"mdat")
    return zeroed(content, start + 8, end - start - 8)


def index_of(other: bytes, content: bytes) -> bytes:
    """The MP4 file under another one's index, its data as long as that wants."""
    (start, end), (data, data_end) = box(other, b"mdat"), box(content, b"mdat")
    own = content[data + 8 : data_end][: end - start - 8]
    return other[: start + 8] + own.ljust(end - start - 8, b"\x55") + other[end:]


def without_fragments(content: bytes, first: int, count: int) -> bytes:
    """The fragmented MP4 file without some of its moof and mdat pairs."""
    parts = [content[start:end] for name, start, end in boxes(content) if name != b"mfra"]
    head = next(n for n, part in enumerate(parts) if part[4:8] == b"moof")
    return b"".join(parts[: head + 2 * first] + parts[head + 2 * (first + count) :])


def without_samples(content: bytes) -> bytes:
    """The MP4 file with a video track of no pictures."""
    start, _ = box(content, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")
    return zeroed(content, start + 12, 8)


def places_of_packets(path: Path, stream: int) -> list[int]:
    """Offsets in the file of a stream's packets."""
    entries = ["-select_streams", str(stream), "-show_entries", "packet=pos", "-of", "csv=p=0"]
    command = [find_tools().ffprobe, "-v", "error", *entries, str(path)]
    return [int(line) for line in subprocess.run(command, check=True, capture_output=True).stdout.split()]


def without_index(content: bytes) -> bytes:
    start, end = box(content, b"moov")
    return content[:start] + content[end:]


CASES: dict[str, tuple[str, Callable[[bytes], bytes], set[str]]] = {
    "nothing": ("long.mp4", lambda c: c, NONE),
    "web page": ("long.mp4", lambda c: b"<!doctype html><html><body>No</body></html>", EVERY_MODE),
    "JSON": ("long.mp4", lambda c: b'{"error": "not found"}', EVERY_MODE),
    "only zeros": ("long.mp4", lambda c: bytes(len(c)), EVERY_MODE),
    "no index": ("long.mp4", without_index, EVERY_MODE),
    "MP4 cut off": ("long.mp4", lambda c: c[:-1], EVERY_MODE),
    "QuickTime cut off": ("b-frames.mov", lambda c: c[:-1], EVERY_MODE),
    "Matroska cut off": ("long.mkv", lambda c: c[:-1], EVERY_MODE),
    "MPEG-TS cut in a packet": ("long.ts", lambda c: c[:-1], EVERY_MODE),
    "MPEG-TS cut after a packet": ("long.ts", lambda c: c[: len(c) // 188 // 2 * 188], READING),
    "fragments cut within": ("long-fragments.mp4", lambda c: c[: len(c) // 2], EVERY_MODE),
    "fragment missing": ("long-fragments.mp4", lambda c: without_fragments(c, 5, 3), READING),
    "fragment without beginning": ("long-fragments.mp4", lambda c: c[box(c, b"moof")[0] :], EVERY_MODE),
    "last fragments missing": ("long-fragments.mp4", lambda c: without_fragments(c, 60, 30), NONE),
    "index points behind the file": ("long.mp4", lambda c: first_offset_changed(c, lambda o: len(c) + o), EVERY_MODE),
    "index points into the index": ("long.mp4", lambda c: first_offset_changed(c, lambda o: len(c) - 50), EVERY_MODE),
    "video without pictures": ("long.mp4", without_samples, EVERY_MODE),
    "all data zeroed": ("long.mp4", all_data_zeroed, READING),
    "half of the data zeroed": ("long.mp4", half_of_the_data_zeroed, READING),
    "stretch of MP4 zeroed": ("long.mp4", lambda c: zeroed(c, len(c) // 2, 20_000), READING),
    "stretch of Matroska zeroed": ("long.mkv", lambda c: zeroed(c, len(c) // 2, 20_000), READING),
    "stretch of MPEG-TS zeroed": ("long.ts", lambda c: zeroed(c, len(c) // 2, 20_000), EVERY_MODE),
    "packets of MPEG-TS missing": ("long.ts", lambda c: c[: 188 * 3000] + c[188 * 3050 :], READING),
    "few bytes of MP4 zeroed": ("long.mp4", lambda c: zeroed(c, len(c) // 2, 64), DECODING),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_found_by_these_modes(case: str, specimens: Specimens, tmp_path: Path) -> None:
    name, damage, modes = CASES[case]
    path = tmp_path / name
    path.write_bytes(damage(specimens[name].read_bytes()))
    assert finding(path) == modes


def test_index_of_another_file_is_found_by_reading(specimens: Specimens, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(index_of(specimens["long-other.mp4"].read_bytes(), specimens["long.mp4"].read_bytes()))
    assert finding(path) == READING


def test_sound_without_video_is_found_by_every_mode(specimens: Specimens, tmp_path: Path) -> None:
    assert finding(ffmpeg(tmp_path, f"-i {specimens['long.mp4']} -vn -c copy", "x.mp4")) == EVERY_MODE


def test_damage_of_the_second_sound_is_found_by_decoding(specimens: Specimens, tmp_path: Path) -> None:
    path = ffmpeg(tmp_path, f"-i {specimens['b-frames.mp4']} -map 0:v -map 0:a -map 0:a -c copy", "x.mkv")
    assert finding(path) == NONE
    content = bytearray(path.read_bytes())
    places = places_of_packets(path, stream=2)
    for place in places[len(places) // 2 :][:3]:
        content[place + 8 : place + 40] = b"\xff" * 32
    path.write_bytes(content)
    assert FULL in finding(path)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("web page", "web page or other text"),
        ("only zeros", "nothing but zeros"),
        ("no index", "no index"),
        ("MP4 cut off", "cut off"),
        ("Matroska cut off", "cut off"),
        ("MPEG-TS cut in a packet", "cut off within a packet"),
        ("fragment missing", "Parts of the video are missing: there is no data for 3.0 s from 0:00:05"),
        ("fragment without beginning", "without its beginning"),
        ("index points behind the file", "points to video data that is not in the file"),
        ("video without pictures", "without a single picture"),
        ("stretch of MP4 zeroed", "damaged: Invalid NAL unit size"),
        ("packets of MPEG-TS missing", "arrived incomplete"),
    ],
)
def test_reason_says_what_is_wrong(case: str, reason: str, specimens: Specimens, tmp_path: Path) -> None:
    name, damage, _ = CASES[case]
    path = tmp_path / name
    path.write_bytes(damage(specimens[name].read_bytes()))
    with pytest.raises(BadSource, match=reason) as caught:
        prove(path, probe(path), expected_duration=None)
    assert len(str(caught.value)) < 200
    assert str(tmp_path) not in caught.value.details


def test_missing_end_is_found_in_every_mode_when_the_source_announced_it(specimens: Specimens, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(without_fragments(specimens["long-fragments.mp4"].read_bytes(), 60, 30))
    for mode in MODES:
        with pytest.raises(BadSource, match="parts are missing"):
            prove(path, probe(path), expected_duration=90.0, mode=mode)


def test_what_the_program_said_is_kept_aside(specimens: Specimens, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(all_data_zeroed(specimens["long.mp4"].read_bytes()))
    with pytest.raises(BadSource) as caught:
        prove(path, probe(path), expected_duration=None)
    assert "Invalid NAL unit size" in caught.value.details
    assert caught.value.details.count("\n") > 2
