"""The outermost structure of an MP4 file (ISO/IEC 14496-12 §4.2): truncation is found without decoding
anything.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from queue_app.failures import BadSource

_MAX_BOXES = 1_000_000


def check_boxes(path: Path) -> None:
    """Raise BadSource unless boxes tile the file `path` exactly and `moov` and media data are among them."""
    names = {name for name, _ in walk_boxes(path)}
    for wanted, what in ((b"moov", "index"), (b"mdat", "media data")):
        if wanted not in names:
            raise BadSource(f"The MP4 file has no {what} ({wanted.decode()}): it is damaged or cut off.")


def walk_boxes(path: Path) -> Iterator[tuple[bytes, int]]:
    """Name and size in bytes of each outermost box. Raises BadSource where they don't tile the file."""
    end = path.stat().st_size
    position = 0
    with path.open("rb") as file:
        for _ in range(_MAX_BOXES):
            if position == end:
                return
            file.seek(position)
            name, size = _box_header(file.read(16), end - position)
            if position + size > end:
                shown = name.decode("latin-1")
                raise BadSource(
                    f"The MP4 file is cut off: its part {shown!r} should be {size} bytes long, "
                    f"but only {end - position} bytes are left."
                )
            yield name, size
            position += size
    raise BadSource("The MP4 file is damaged: it has too many parts.")


def _box_header(header: bytes, left: int) -> tuple[bytes, int]:
    if len(header) < 8:
        raise BadSource("The MP4 file is cut off within the header of a part.")
    size, name = struct.unpack(">I4s", header[:8])
    smallest = 8
    if size == 1:
        if len(header) < 16:
            raise BadSource("The MP4 file is cut off within the header of a part.")
        size, smallest = struct.unpack(">Q", header[8:16])[0], 16
    elif size == 0:
        size = left
    if size < smallest:
        raise BadSource("The MP4 file is damaged: a part has an impossible length.")
    return name, size
