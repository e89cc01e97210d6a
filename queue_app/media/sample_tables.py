"""Where an MP4 file's index says that its video and sound lie (ISO/IEC 14496-12 §8.5–8.7)."""

from __future__ import annotations

import array
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from queue_app.failures import BadSource
from queue_app.media.boxes import walk_boxes

_FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex"}
_KINDS = {b"vide": "video", b"soun": "audio"}
_MAX_TABLE_BYTES = 64 * 1024 * 1024
_MAX_BOXES = 100_000


@dataclass
class _Track:
    kind: str = ""
    samples: int = 0
    data_bytes: int = 0
    chunks: array.array[int] | None = None
    """Where each chunk of samples lies, in bytes from the file's beginning."""


@dataclass(frozen=True)
class _Box:
    name: bytes
    start: int
    """Where its content begins, in bytes from the file's beginning."""
    end: int


def check_sample_tables(path: Path) -> None:
    """Raise BadSource when the index of the MP4 or QuickTime file `path` points outside its media data, or lists a
    video track without pictures.

    Its outermost boxes are known to tile it (`boxes.check_boxes`). What movie fragments hold is not looked at.
    """
    position, moov, data = 0, None, []
    for name, size in walk_boxes(path):
        if name == b"moov":
            moov = _Box(name, position + 8, position + size)
        elif name == b"mdat":
            data.append((position + 8, position + size))
        position += size
    if moov is None:
        return
    with path.open("rb") as file:
        tracks, fragmented = _read_tracks(file, moov)
    for track in tracks:
        if track.kind and track.samples:
            _check_offsets(track, data)
    videos = [track for track in tracks if track.kind == "video"]
    if videos and not fragmented and not any(track.samples for track in videos):
        raise BadSource("The MP4 file's index lists a video without a single picture: it was never finished.")


def _check_offsets(track: _Track, data: list[tuple[int, int]]) -> None:
    if not all(any(start <= offset < end for start, end in data) for offset in track.chunks or ()):
        raise BadSource(
            f"The MP4 file's index points to {track.kind} data that is not in the file: it belongs to another file, "
            "or data is missing."
        )
    if track.data_bytes > sum(end - start for start, end in data):
        raise BadSource(f"The MP4 file's index promises more {track.kind} data than the file holds: data is missing.")


def _read_tracks(file: BinaryIO, moov: _Box) -> tuple[list[_Track], bool]:
    tracks: list[_Track] = []
    fragmented = False
    for box in _walk(file, moov):
        if box.name == b"mvex":
            fragmented = True
        elif box.name == b"trak":
            tracks.append(_Track())
        elif tracks:
            _read_leaf(file, box, tracks[-1])
    return tracks, fragmented


def _walk(file: BinaryIO, top: _Box) -> Iterator[_Box]:
    """The boxes within `top`, depth first."""
    stack, seen = [top], 0
    while stack:
        box = stack.pop()
        yield box
        if box.name not in _FOLDERS:
            continue
        inner = list(_children(file, box))
        seen += len(inner)
        if seen > _MAX_BOXES:
            raise BadSource("The MP4 file is damaged: its index has too many parts.")
        stack += reversed(inner)


def _children(file: BinaryIO, parent: _Box) -> Iterator[_Box]:
    position = parent.start
    while position + 8 <= parent.end:
        file.seek(position)
        size, name = struct.unpack(">I4s", _exactly(file, 8))
        if size < 8 or position + size > parent.end:
            # QuickTime ends a list with a zero of 32 bits; 64-bit sizes have no use within an index.
            return
        yield _Box(name, position + 8, position + size)
        position += size


def _read_leaf(file: BinaryIO, box: _Box, track: _Track) -> None:
    file.seek(box.start)
    if box.name == b"hdlr" and not track.kind:
        track.kind = _KINDS.get(file.read(12)[8:], "")
    elif box.name in {b"stsz", b"stz2"}:
        size, count = struct.unpack(">4xII", _exactly(file, 12))
        track.samples = count
        if box.name == b"stsz":
            track.data_bytes = size * count if size else sum(_table(file, box, count, "I"))
    elif box.name in {b"stco", b"co64"}:
        count = struct.unpack(">4xI", _exactly(file, 8))[0]
        track.chunks = _table(file, box, count, "I" if box.name == b"stco" else "Q")


def _table(file: BinaryIO, box: _Box, count: int, code: str) -> array.array[int]:
    """`count` big-endian numbers that begin at the file's position."""
    table = array.array(code)
    length = count * table.itemsize
    if length > box.end - file.tell() or length > _MAX_TABLE_BYTES:
        raise BadSource("The MP4 file is damaged: a table of its index is longer than its room.")
    table.frombytes(_exactly(file, length))
    if sys.byteorder == "little":
        table.byteswap()
    return table


def _exactly(file: BinaryIO, length: int) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise BadSource("The MP4 file is cut off within its index.")
    return content
