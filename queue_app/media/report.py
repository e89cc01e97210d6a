"""What a proof found, kept for the operator."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from queue_app.media.decoding import Decoded
from queue_app.media.holes import Hole
from queue_app.media.packets import Timeline, Track
from queue_app.media.streams import MediaInfo

_MOST_HOLES = 50


@dataclass(frozen=True)
class TrackReport:
    """The packets of one stream; times in seconds from the video's beginning."""

    index: int
    kind: str
    codec: str
    packets: int
    bytes: int
    bit_rate: int | None
    start: float
    end: float
    interval: float
    """Seconds between two packets, as a rule."""
    backward: int
    repeated: int


@dataclass(frozen=True)
class ProofReport:
    """A proof that succeeded. Sizes are in bytes, times in seconds."""

    mode: str
    seconds: float
    """What it took."""
    expected_size: int | None
    size: int
    expected_duration: float | None
    duration: float
    """As the container says."""
    span: float | None
    """From the first packet to the end of the last; None when packets were not read."""
    tracks: tuple[TrackReport, ...]
    holes: tuple[Hole, ...]
    """The first 50."""
    decoded: Decoded | None
    not_decoded: tuple[int, ...]
    """Streams that this ffmpeg has no decoder for."""
    warnings: tuple[str, ...]
    harmless: dict[str, int]
    """Complaints of ffmpeg that good files cause too, and how often."""
    media: MediaInfo
    """The inventory, with those bit rates that only the packets tell."""

    def as_json(self) -> dict[str, Any]:
        """For a JSON column. Without `media`, which has its own."""
        return {name: value for name, value in asdict(self).items() if name != "media"}


def track_reports(timeline: Timeline) -> tuple[TrackReport, ...]:
    """What there is to say about each stream that has packets."""
    return tuple(_track_report(track, timeline.first) for track in timeline.tracks if track.packets)


def first_holes(holes: list[Hole]) -> tuple[Hole, ...]:
    """As many as a report holds."""
    return tuple(holes[:_MOST_HOLES])


def with_bit_rates(info: MediaInfo, timeline: Timeline) -> MediaInfo:
    """`info`, with bit rates from the packets where the container doesn't tell them."""
    rates = {track.stream.index: track.bit_rate for track in timeline.tracks}
    streams = (replace(stream, bit_rate=stream.bit_rate or rates.get(stream.index)) for stream in info.streams)
    span = timeline.end - timeline.first
    whole = info.bit_rate or (int(info.size * 8 / span) if span > 0 else None)
    return replace(info, streams=tuple(streams), bit_rate=whole)


def _track_report(track: Track, beginning: float) -> TrackReport:
    timed = track.end >= track.first
    return TrackReport(
        index=track.stream.index,
        kind=track.stream.kind,
        codec=track.stream.codec,
        packets=track.packets,
        bytes=track.bytes,
        bit_rate=track.bit_rate,
        start=round(track.first - beginning, 3) if timed else 0.0,
        end=round(track.end - beginning, 3) if timed else 0.0,
        interval=track.median,
        backward=track.backward,
        repeated=track.repeated,
    )
