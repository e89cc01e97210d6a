"""What an HLS segment is, and whether all of it is there, without decoding: MPEG-TS, fragmented MP4, packed audio."""

from __future__ import annotations

import re
import struct
from typing import IO

from queue_app.media.containers import SNIFF_BYTES, container_of

_TS_PACKET = 188
_READ_BYTES = _TS_PACKET * 4096
_MOST_BOXES = 100_000
_PROTECTED = re.compile(rb"encv|enca|pssh")  # ISO/IEC 23001-7 §4
_TIMESTAMP_OWNER = b"com.apple.streaming.transportStreamTimestamp\x00"  # RFC 8216 §3.4
_ID3_HEADER = 10


class Damaged(Exception):
    """The segment is not whole; `str()` of it says how."""


def kind_of(file: IO[bytes]) -> str | None:
    """'mpegts', 'fmp4', 'aac', 'mp3', 'ac3', 'eac3', or None; `file` begins there and is left there."""
    start = file.tell()
    head = file.read(SNIFF_BYTES)
    file.seek(start)
    container = container_of(head)
    if container is not None:
        return "fmp4" if container in {"mp4", "mov"} else container
    if head[:2] == b"\x0b\x77" and len(head) > 5:
        return "ac3" if head[5] >> 3 <= 10 else "eac3"  # ETSI TS 102 366 §E.1.3.1.6
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"  # ISO/IEC 13818-7 §6.2; 11172-3 §2.4.2.3
    return None


def skip_id3(file: IO[bytes]) -> int | None:
    """Move past the ID3 tags that a packed audio segment begins with; returns their time stamp (90 kHz, 33 bits).

    RFC 8216 §3.4; ID3v2.4 §3.1. None where there is none. Raises Damaged.
    """
    found = None
    while True:
        start = file.tell()
        header = file.read(_ID3_HEADER)
        if not header.startswith(b"ID3") or len(header) < _ID3_HEADER:
            file.seek(start)
            return found
        size = sum((byte & 0x7F) << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
        tag = file.read(size)
        if len(tag) < size:
            raise Damaged("its ID3 tag is cut off")
        owner, _, value = tag.partition(_TIMESTAMP_OWNER)
        if len(owner) < size and len(value) >= 8:
            found = int.from_bytes(value[:8], "big") % 2**33


def check_whole(file: IO[bytes], kind: str) -> None:
    """Raise Damaged unless all of the segment is there, from where `file` stands to its end; it is left there."""
    start = file.tell()
    if kind == "mpegts":
        _check_packets(file)
    elif kind == "fmp4":
        names = _box_names(file)
        if not {b"moof", b"mdat"} <= names:
            raise Damaged("it has no fragment (moof and mdat)")
    elif kind == "aac":
        _check_adts(file)
    file.seek(start)


def check_init(content: bytes, file: IO[bytes]) -> str:
    """Why the beginning of a fragmented MP4 (EXT-X-MAP) can't be used: "" if it can. Raises Damaged when not whole."""
    if b"moov" not in _box_names(file):
        raise Damaged("it has no index (moov)")
    return "protected by DRM (Common Encryption)" if _PROTECTED.search(content) else ""


def _check_packets(file: IO[bytes]) -> None:
    """Packets of 188 bytes, each with its sync byte (ISO/IEC 13818-1 §2.4.3.2), and nothing after the last."""
    while piece := file.read(_READ_BYTES):
        if len(piece) % _TS_PACKET:
            raise Damaged("it ends within a transport packet")
        syncs = piece[::_TS_PACKET]
        if syncs.count(b"G") != len(syncs):
            raise Damaged("it isn't MPEG-TS throughout")


def _box_names(file: IO[bytes]) -> set[bytes]:
    """The outermost boxes (ISO/IEC 14496-12 §4.2), which must tile the file."""
    position, end = file.tell(), file.seek(0, 2)
    names: set[bytes] = set()
    for _ in range(_MOST_BOXES):
        if position == end:
            return names
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            break
        size, name = struct.unpack(">I4s", header[:8])
        if size == 1 and len(header) == 16:
            size = struct.unpack(">Q", header[8:])[0]
        if size < 8 or position + size > end:
            break
        names.add(name)
        position += size
    raise Damaged("its MP4 boxes don't fit its length")


def _check_adts(file: IO[bytes]) -> None:
    """Frames that tell their own length (ISO/IEC 13818-7 §6.2), and nothing after the last."""
    content = file.read()
    position = 0
    while position < len(content):
        header = content[position : position + 6]
        if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            raise Damaged("it isn't AAC throughout")
        position += max(7, (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5)
    if position != len(content):
        raise Damaged("it ends within an audio frame")
