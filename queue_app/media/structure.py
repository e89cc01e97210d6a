"""Is a file's outer structure whole? Read in its index only, without ffmpeg; MPEG-TS, which has none, in full."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from queue_app.failures import BadSource
from queue_app.media.boxes import check_boxes
from queue_app.media.sample_tables import check_sample_tables

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067  # RFC 8794 §11.2.1, RFC 9559 §5.1
_TS_SYNC = 0x47
_TS_PACKETS = 5000
_LOST_SYNC = 3


def check_structure(path: Path, container: str) -> None:
    """Raise BadSource where the file `path` is cut off or its index points to data that isn't there.

    `container` is that of `containers.container_of`. AVI, FLV, Ogg and MPEG-PS hold nothing to compare with.
    """
    if container == "fmp4":
        raise BadSource("The file is a fragment of an MP4 stream without its beginning.")
    if container in {"mp4", "mov"}:
        check_boxes(path)
        check_sample_tables(path)
    elif container in {"matroska", "webm"}:
        _check_matroska(path)
    elif container == "mpegts":
        _check_mpegts(path)


def _check_matroska(path: Path) -> None:
    """The Segment ends with the file, unless its size is unknown (RFC 8794 §6.2), as in live recordings."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for wanted in (_EBML, _SEGMENT):
            found, length = _element(file)
            if found != wanted:
                raise BadSource("The Matroska file is damaged: its first parts are not those of a video.")
            start = file.tell()
            if length is not None and start + length > size:
                raise BadSource(
                    f"The Matroska file is cut off: it should be {start + length} bytes long, but is {size}."
                )
            file.seek(length or 0, 1)


def _element(file: BinaryIO) -> tuple[int, int | None]:
    """Id and size in bytes of the element that begins here; a size of None is unknown."""
    name, _ = _number(file)
    value, octets = _number(file)
    size = value & ((1 << 7 * octets) - 1)
    return name, None if size == (1 << 7 * octets) - 1 else size


def _number(file: BinaryIO) -> tuple[int, int]:
    """A variable-size integer with its marker bit, and how many octets it has (RFC 8794 §4)."""
    first = file.read(1)
    if not first or not first[0]:
        raise BadSource("The Matroska file is damaged or cut off in its first parts.")
    octets = 9 - first[0].bit_length()
    return int.from_bytes(first + file.read(octets - 1), "big"), octets


def _check_mpegts(path: Path) -> None:
    """Whole packets, each with its sync byte (ISO/IEC 13818-1 §2.4.3.2); Blu-ray's have four bytes in front."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = 0 if file.read(1) == b"\x47" else 4
        step = 188 + first
        file.seek(0)
        position = lost = 0
        while chunk := file.read(step * _TS_PACKETS):
            syncs = chunk[first::step]
            lost += len(syncs) - syncs.count(_TS_SYNC)
            if lost > _LOST_SYNC:
                raise BadSource(f"The MPEG-TS file is damaged near byte {position}: what is there is no packet.")
            position += len(chunk)
    if size % step:
        raise BadSource(f"The MPEG-TS file is cut off within a packet: {size} bytes are no multiple of {step}.")
