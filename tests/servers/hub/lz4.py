"""Decompression of LZ4 frames, in which Xet packs its chunks.

<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md> and `lz4_Block_format.md` beside it. Checksums aren't
looked at: what is read back here is hashed as a whole.
"""

from __future__ import annotations

MAGIC = b"\x04\x22\x4d\x18"


def decompress(frame: bytes) -> bytes:
    """What a frame holds. Raises ValueError."""
    if frame[:4] != MAGIC:
        raise ValueError("not an LZ4 frame")
    flags = frame[4]
    position = 4 + 2 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0) + 1
    out = bytearray()
    while size := int.from_bytes(frame[position : position + 4], "little"):
        position += 4
        length = size & 0x7FFFFFFF
        block = frame[position : position + length]
        if size >> 31:
            out += block
        else:
            _block(block, out)
        position += length + (4 if flags & 0x10 else 0)
    return bytes(out)


def _block(source: bytes, out: bytearray) -> None:
    """Sequences of literals and of matches in what is already out, which may be that of earlier blocks."""
    position, end = 0, len(source)
    while position < end:
        token = source[position]
        literals, position = _length(source, position + 1, token >> 4)
        out += source[position : position + literals]
        position += literals
        if position >= end:
            return
        offset = source[position] | source[position + 1] << 8
        length, position = _length(source, position + 2, token & 15)
        _match(out, offset, length + 4)


def _length(source: bytes, position: int, start: int) -> tuple[int, int]:
    if start < 15:
        return start, position
    length = start
    while True:
        byte = source[position]
        position += 1
        length += byte
        if byte != 255:
            return length, position


def _match(out: bytearray, offset: int, length: int) -> None:
    start = len(out) - offset
    if offset == 0 or start < 0:
        raise ValueError("an LZ4 match reaches before the beginning")
    if offset >= length:
        out += out[start : start + length]
    else:
        out += (bytes(out[start:]) * (length // offset + 1))[:length]
