"""At which time of its own clock a stream's file begins, read from its first bytes without decoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_READ_BYTES = 4 * 1024 * 1024
_TS_PACKET = 188
_PTS_CLOCK = 90_000
_TIMED_STREAMS = range(0xC0, 0xF0)
"""Audio and video (ISO/IEC 13818-1 table 2-22)."""


def first_timestamp(path: Path, container: str) -> float | None:
    """Seconds at which the earliest stream of an 'mpegts' or 'fmp4' file begins; None if that can't be told."""
    with path.open("rb") as file:
        head = file.read(_READ_BYTES)
    times = list(_transport_times(head) if container == "mpegts" else _fragment_times(head))
    return min(times, default=None)


def _transport_times(head: bytes) -> Iterator[float]:
    """The first few time stamps of each elementary stream (§2.4.3.7); pictures come in the order of decoding."""
    seen: dict[int, int] = {}
    for start in range(0, len(head) - _TS_PACKET + 1, _TS_PACKET):
        packet = head[start : start + _TS_PACKET]
        begins, pid = packet[1] & 0x40, (packet[1] & 0x1F) << 8 | packet[2]
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if not begins or seen.get(pid, 0) >= 8 or len(payload) < 14 or payload[:3] != b"\x00\x00\x01":
            continue
        if payload[3] in _TIMED_STREAMS and payload[7] & 0x80:
            seen[pid] = seen.get(pid, 0) + 1
            p = payload[9:14]
            pts = (p[0] >> 1 & 7) << 30 | p[1] << 22 | (p[2] >> 1) << 15 | p[3] << 7 | p[4] >> 1
            yield pts / _PTS_CLOCK


def _fragment_times(head: bytes) -> Iterator[float]:
    """Each track's first decode time (ISO/IEC 14496-12 §8.8.12) by its own clock (§8.4.2)."""
    scales: dict[int, int] = {}
    for name, box in _boxes(head, (b"moov", b"trak")):
        if name == b"trak":
            track, scale = _track_scale(box)
            scales[track] = scale
    seen: set[int] = set()
    for name, box in _boxes(head, (b"moof", b"traf")):
        if name != b"traf":
            continue
        parts = dict(_boxes(box, ()))
        header, time = parts.get(b"tfhd", b""), parts.get(b"tfdt", b"")
        if len(header) < 8 or len(time) < 8:
            continue
        track = struct.unpack(">I", header[4:8])[0]
        if track not in seen and scales.get(track) and len(time) >= (12 if time[0] else 8):
            seen.add(track)
            yield struct.unpack(">Q" if time[0] else ">I", time[4 : 12 if time[0] else 8])[0] / scales[track]


def _track_scale(trak: bytes) -> tuple[int, int]:
    track = scale = 0
    for name, box in _boxes(trak, (b"mdia",)):
        if name == b"tkhd" and len(box) >= 24:
            track = struct.unpack(">I", box[20:24] if box[0] else box[12:16])[0]
        elif name == b"mdhd" and len(box) >= 24:
            scale = struct.unpack(">I", box[20:24] if box[0] else box[12:16])[0]
    return track, scale


def _boxes(content: bytes, inside: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes in `content`, and of those in the boxes that `inside` names."""
    position = 0
    while position + 8 <= len(content):
        size, name = struct.unpack(">I4s", content[position : position + 8])
        if size < 8:
            return
        body = content[position + 8 : position + size]
        yield name, body
        if name in inside:
            yield from _boxes(body, inside)
        position += size
