"""Which bytes a player asked for: RFC 9110 §14, for one range at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=[ \t]*(?P<first>[0-9]*)-(?P<last>[0-9]*)[ \t]*", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies outside the file: 416."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes `start` up to, but without, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The value of Content-Range."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(header: str, size: int) -> ByteRange | None:
    """The range that `header` asks of a file of `size` bytes; None means the whole file.

    A header that isn't understood or asks for several ranges is ignored (§14.2). Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match["first"] == match["last"] == "":
        return None
    if match["first"] == "":
        return _suffix(_number(match["last"]), size)
    first = _number(match["first"])
    last = _number(match["last"]) if match["last"] else None
    if last is not None and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return ByteRange(first, size if last is None else min(last + 1, size))


def range_applies(if_range: str, etag: str, last_modified: str) -> bool:
    """Is If-Range absent, or does it name this content (§13.1.5)? If not, the whole file is the answer."""
    value = if_range.strip()
    return not value or value in {etag, last_modified}


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0 or size == 0:
        raise Unsatisfiable
    return ByteRange(max(0, size - length), size)


def _number(digits: str) -> int:
    # Python refuses to convert thousands of digits; 30 of them are beyond every file already.
    return int(digits.lstrip("0")[:30] or "0")
