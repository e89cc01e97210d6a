"""Good files pass every mode of the proof, and what it found is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from queue_app.failures import BadSource
from queue_app.media.holes import Segments
from queue_app.media.probe import MediaInfo, probe
from queue_app.media.proof import FULL, MODES, OFF, SAMPLED, prove
from queue_app.media.report import ProofReport
from tests.servers.videos import SECONDS, Videos
from tests.unit.specimens import GOOD, Specimens, ffmpeg


def proof(path: Path, mode: str = FULL, segments: Segments | None = None) -> ProofReport:
    """As the pipeline does for a direct file."""
    return prove(path, probe(path), expected_duration=None, mode=mode, segments=segments)


@pytest.mark.parametrize("name", GOOD)
def test_good_file_passes_every_mode(name: str, specimens: Specimens) -> None:
    reports = {mode: proof(specimens[name], mode) for mode in MODES}
    assert {mode: report.mode for mode, report in reports.items()} == {mode: mode for mode in MODES}


@pytest.mark.parametrize(
    "name", ["b-frames.mp4", "slides.mp4", "still-stretches.mp4", "hevc-ac3.mp4", "clock-wraps.ts"]
)
def test_good_playlist_passes(name: str, specimens: Specimens) -> None:
    proof(specimens[name], segments=Segments())


def test_report_tells_what_was_found(specimens: Specimens) -> None:
    path = specimens["languages.mkv"]
    report = prove(path, probe(path), expected_duration=4.0, expected_size=path.stat().st_size)
    assert (report.expected_size, report.expected_duration) == (path.stat().st_size, 4.0)
    assert report.size == path.stat().st_size
    assert [(track.kind, track.codec) for track in report.tracks] == [
        ("video", "h264"),
        ("audio", "eac3"),
        ("audio", "flac"),
    ]
    assert (report.tracks[0].packets, report.tracks[0].interval) == (100, 0.04)
    assert report.span == pytest.approx(4.0, abs=0.1)
    assert report.warnings == ()


def test_every_stream_is_decoded_and_no_more(specimens: Specimens) -> None:
    decoded = proof(specimens["languages.mkv"]).decoded
    assert decoded is not None
    assert (decoded.streams, decoded.pictures, decoded.windows) == ((0, 1, 2), 100, 0)
    assert decoded.seconds == pytest.approx(4.0, abs=0.1)


def test_report_is_json_without_the_inventory(specimens: Specimens) -> None:
    value = json.loads(json.dumps(proof(specimens["still-stretches.mp4"]).as_json()))
    assert "media" not in value
    assert value["holes"][0]["streams"] == [0]


def test_bit_rates_come_from_packets_where_the_file_tells_none(specimens: Specimens) -> None:
    path = specimens["b-frames.mkv"]
    assert [stream.bit_rate for stream in probe(path).streams] == [None, None]
    told = [stream.bit_rate for stream in probe(specimens["b-frames.mp4"]).streams]
    assert [stream.bit_rate for stream in proof(path).media.streams] == pytest.approx(told, rel=0.05)


def test_sampling_decodes_windows_with_beginning_and_end(specimens: Specimens) -> None:
    decoded = proof(specimens["long.mp4"], SAMPLED).decoded
    assert decoded is not None
    assert (decoded.windows, decoded.pictures) == (8, 800)


def test_short_file_is_decoded_in_full_when_sampled(specimens: Specimens) -> None:
    decoded = proof(specimens["b-frames.mp4"], SAMPLED).decoded
    assert decoded is not None
    assert (decoded.windows, decoded.pictures) == (0, 100)


def test_window_that_complains_has_the_whole_file_decoded(specimens: Specimens) -> None:
    # A decoder that begins between two refreshes misses pictures that are all there.
    decoded = proof(specimens["long-rolling-refresh.mp4"], SAMPLED).decoded
    assert decoded is not None
    assert (decoded.windows, decoded.pictures) == (0, 2250)


def test_off_reads_no_packet(specimens: Specimens) -> None:
    report = proof(specimens["b-frames.mp4"], OFF)
    assert (report.span, report.tracks, report.decoded) == (None, (), None)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no-pts.mp4", "Application provided invalid, non monotonically increasing dts to muxer"),
        ("cut-in-open-group.mp4", "mmco: unref short failure"),
    ],
)
def test_complaint_about_a_good_file_is_told_as_harmless(name: str, complaint: str, specimens: Specimens) -> None:
    assert complaint in proof(specimens[name]).harmless


def test_stream_without_a_decoder_is_read_and_told(specimens: Specimens) -> None:
    report = proof(specimens["av1-opus.mp4"])
    assert report.decoded is not None
    if report.not_decoded:
        assert (report.not_decoded, report.decoded.streams) == ((0,), (1,))
        assert "no decoder for av1" in report.warnings[0]
    else:
        assert report.decoded.streams == (0, 1)


@pytest.mark.parametrize("mode", MODES)
def test_other_size_or_duration_than_announced_is_refused(mode: str, videos: Videos) -> None:
    info = probe(videos.mp4)
    with pytest.raises(BadSource, match="but the source announced 12 bytes"):
        prove(videos.mp4, info, expected_duration=None, expected_size=12, mode=mode)
    for announced, reason in ((SECONDS + 2.0, "parts are missing"), (SECONDS - 2.0, "others were added")):
        with pytest.raises(BadSource, match=reason):
            prove(videos.mp4, info, expected_duration=announced, mode=mode)


def test_unknown_mode_is_our_own_fault(videos: Videos) -> None:
    with pytest.raises(ValueError, match="not one of full, sampled, off"):
        prove(videos.mp4, probe(videos.mp4), expected_duration=None, mode="fast")


def test_inventory_tells_what_players_ask(specimens: Specimens) -> None:
    video, japanese, english = probe(specimens["languages.mkv"]).streams
    assert (video.profile, video.pixel_format, video.field_order) == ("Constrained Baseline", "yuv420p", "progressive")
    assert (japanese.language, japanese.sample_rate, japanese.channel_layout) == ("jpn", 48000, "mono")
    assert (english.language, english.codec) == ("eng", "flac")
    assert english.duration == pytest.approx(4.0, abs=0.1)
    assert probe(specimens["turned.mp4"]).streams[0].rotation == 90
    assert probe(specimens["interlaced.mp4"]).streams[0].field_order == "tt"
    assert probe(specimens["hevc-pq.mkv"]).streams[0].hdr
    assert [stream.kind for stream in probe(specimens["cover.mp4"]).streams] == ["video", "audio", "picture"]


def test_inventory_of_older_and_newer_rows_can_be_read(videos: Videos) -> None:
    value = json.loads(json.dumps(probe(videos.mp4).as_json()))
    old = {
        **value,
        "streams": [{key: stream[key] for key in ("index", "kind", "codec")} for stream in value["streams"]],
    }
    assert MediaInfo.from_json(old).streams[0] == replace(MediaInfo.from_json(old).streams[0], profile=None, width=None)
    new = {**value, "later": 1, "streams": [{**stream, "later": 1} for stream in value["streams"]]}
    assert MediaInfo.from_json(new) == MediaInfo.from_json(value)


def test_matroska_that_begins_later_lasts_as_long_as_its_data(specimens: Specimens) -> None:
    assert probe(specimens["begins-later.mkv"]).duration == pytest.approx(4.0, abs=0.1)


def test_live_recording_without_a_duration_passes_where_packets_are_read(specimens: Specimens, tmp_path: Path) -> None:
    path = ffmpeg(tmp_path, f"-i {specimens['vp9-opus.webm']} -c copy -live 1", "x.webm")
    assert probe(path).duration == 0.0
    for mode in (FULL, SAMPLED):
        assert prove(path, probe(path), expected_duration=4.0, mode=mode).span == pytest.approx(4.0, abs=0.1)
    with pytest.raises(BadSource, match="no duration"):
        proof(path, OFF)
