"""The two binary formats of Xet: xorbs, which hold chunks, and shards, which say what files are made of.

<https://huggingface.co/docs/xet/xorb> and `/shard`, as in `xet_core_structures` of github.com/huggingface/xet-core.
A hash is 32 bytes, written as four little-endian 64-bit words in hex. Hashes aren't computed anew (they are BLAKE3):
what counts is the sha256 of the file that is rebuilt.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.hub import lz4

ENTRY = 48
"""Bytes of every header and entry in a shard."""
BOOKEND = b"\xff" * 32
TAG = b"HFRepoMetaData\0" + bytes([85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169])
FOOTER = 200
WITH_VERIFICATION, WITH_METADATA = 1 << 31, 1 << 30
GLOBAL_DEDUP = 1 << 31
PLAIN, LZ4, GROUPED_LZ4 = range(3)
XORB_FOOTER = b"XETBLOB"


class BadFormat(ValueError):
    """It isn't what it should be."""


def hash_text(raw: bytes) -> str:
    """A hash as the API writes it."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def hash_bytes(text: str) -> bytes:
    """A hash as shards write it."""
    return struct.pack("<4Q", *(int(text[start : start + 16], 16) for start in range(0, 64, 16)))


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies in its xorb: `at` and `packed` count its header of 8 bytes."""

    at: int
    packed: int
    scheme: int
    size: int


def read_xorb(path: Path) -> list[Chunk]:
    """The chunks of a stored xorb, without what they hold. Raises BadFormat."""
    chunks, position, total = [], 0, path.stat().st_size
    with path.open("rb") as file:
        while position < total:
            file.seek(position)
            header = file.read(8)
            if header.startswith(XORB_FOOTER):
                break
            packed = int.from_bytes(header[1:4], "little") + 8
            chunk = Chunk(position, packed, header[4], int.from_bytes(header[5:8], "little"))
            position += packed
            if header[0] != 0 or chunk.scheme > GROUPED_LZ4 or position > total:
                raise BadFormat("malformed chunk header")
            chunks.append(chunk)
    return chunks


def unpack(chunk: Chunk, raw: bytes) -> bytes:
    """What a chunk holds, from its bytes in the xorb. Raises BadFormat."""
    data = raw[8:]
    try:
        if chunk.scheme != PLAIN:
            data = lz4.decompress(data)
    except (ValueError, IndexError) as error:
        raise BadFormat("malformed LZ4 data") from error
    if chunk.scheme == GROUPED_LZ4:
        data = _regroup(data)
    if len(data) != chunk.size:
        raise BadFormat("a chunk has another size than its header says")
    return data


def _regroup(data: bytes) -> bytes:
    """Every fourth byte lies together: first all of the first ones, then the second."""
    out, position = bytearray(len(data)), 0
    for lane in range(4):
        count = len(range(lane, len(data), 4))
        out[lane::4] = data[position : position + count]
        position += count
    return bytes(out)


@dataclass(frozen=True)
class Segment:
    """A run of chunks of one xorb, `end` not included; `size` in bytes once unpacked."""

    xorb: str
    start: int
    end: int
    size: int


@dataclass(frozen=True)
class ShardFile:
    """A file: its Xet hash, what it is made of, and the sha256 that the uploader claims, in hex."""

    hash: str
    segments: list[Segment]
    sha256: str | None

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(segment.size for segment in self.segments)


@dataclass(frozen=True)
class ShardXorb:
    """A xorb as a shard tells of it: `raw` are its header and entries; `shared` the hashes of those chunks by which
    others may find it."""

    hash: str
    sizes: list[int]
    shared: list[str]
    raw: bytes
    chunks: list[bytes]


@dataclass(frozen=True)
class Shard:
    """What a shard tells."""

    files: list[ShardFile]
    xorbs: list[ShardXorb]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, size: int = ENTRY) -> bytes:
        piece = self.data[self.position : self.position + size]
        if len(piece) != size:
            raise BadFormat("the shard ends too early")
        self.position += size
        return piece

    def headers(self) -> Iterator[bytes]:
        """Up to the bookend."""
        while not (header := self.take()).startswith(BOOKEND):
            yield header


def read_shard(data: bytes) -> Shard:
    """Parse a shard, with or without its footer. Raises BadFormat."""
    reader = _Reader(data)
    head = reader.take()
    if head[:32] != TAG or struct.unpack_from("<Q", head, 32)[0] != 2:
        raise BadFormat("not a shard")
    files = [_file(reader, header) for header in reader.headers()]
    xorbs = [_xorb(reader, header) for header in reader.headers()]
    return Shard(files, xorbs)


def _file(reader: _Reader, header: bytes) -> ShardFile:
    flags, count = struct.unpack_from("<II", header, 32)
    segments = []
    for _ in range(count):
        entry = reader.take()
        _, size, start, end = struct.unpack_from("<4I", entry, 32)
        segments.append(Segment(hash_text(entry[:32]), start, end, size))
    if flags & WITH_VERIFICATION:
        reader.take(ENTRY * count)
    sha256 = hash_text(reader.take()[:32]) if flags & WITH_METADATA else None
    return ShardFile(hash_text(header[:32]), segments, sha256)


def _xorb(reader: _Reader, header: bytes) -> ShardXorb:
    _, count = struct.unpack_from("<II", header, 32)
    entries = [reader.take() for _ in range(count)]
    sizes = [struct.unpack_from("<I", entry, 36)[0] for entry in entries]
    shared = [hash_text(entry[:32]) for entry in entries if _is_shared(entry)]
    chunks = [entry[:32] for entry in entries]
    return ShardXorb(hash_text(header[:32]), sizes, shared, header + b"".join(entries), chunks)


def _is_shared(entry: bytes) -> bool:
    flags, last_word = struct.unpack_from("<I", entry, 40)[0], struct.unpack_from("<Q", entry, 24)[0]
    return bool(flags & GLOBAL_DEDUP) or last_word % 1024 == 0


def write_shard(xorbs: Sequence[ShardXorb], valid_for: int = 21 * 24 * 3600) -> bytes:
    """A shard that tells of xorbs and of no file, with its tables and footer. `valid_for` in seconds."""
    ordered = sorted(xorbs, key=lambda xorb: xorb.hash)
    out = bytearray(TAG + struct.pack("<QQ", 2, FOOTER))
    files_at = len(out)
    out += BOOKEND + bytes(ENTRY - 32)
    xorbs_at, index = len(out), 0
    xorb_table, chunk_table = [], []
    for xorb in ordered:
        out += xorb.raw
        xorb_table.append((_word(hash_bytes(xorb.hash)), index))
        chunk_table += [(_word(chunk), index, number) for number, chunk in enumerate(xorb.chunks)]
        index += 1 + len(xorb.chunks)
    out += BOOKEND + bytes(ENTRY - 32)
    tables_at = len(out)
    out += b"".join(struct.pack("<QI", *row) for row in sorted(xorb_table))
    chunks_at = len(out)
    out += b"".join(struct.pack("<QII", *row) for row in sorted(chunk_table))
    places = (1, files_at, xorbs_at, tables_at, 0, tables_at, len(xorb_table), chunks_at, len(chunk_table))
    now, stored, at = int(time.time()), sum(sum(xorb.sizes) for xorb in ordered), len(out)
    out += struct.pack("<9Q32s2Q48x4Q", *places, bytes(32), now, now + valid_for, stored, stored, stored, at)
    return bytes(out)


def _word(raw: bytes) -> int:
    return int(struct.unpack_from("<Q", raw)[0])
