"""Joining segmented WebVTT into one file (W3C WebVTT §4; X-TIMESTAMP-MAP: RFC 8216 §3.5)."""

from __future__ import annotations

import re
from collections.abc import Callable

_BLOCKS = re.compile(r"\n{2,}")
_TIMING = re.compile(r"^\s*((?:\d+:)?\d{2}:\d{2}\.\d{3})\s+-->\s+((?:\d+:)?\d{2}:\d{2}\.\d{3})(.*)$")
_MAP = re.compile(r"X-TIMESTAMP-MAP\s*=(.*)")
_LONGEST_SECONDS = 1_000_000


class Joined:
    """One WebVTT file that grows by segments. `str()` gives it."""

    def __init__(self) -> None:
        self._header: list[str] = []
        self._cues: list[str] = []
        self._seen: set[str] = set()

    def add(self, text: str, place: Callable[[float | None], float]) -> None:
        """Add one segment's blocks; those that are there already are left out.

        `place` gives the seconds to add to its times, from the seconds of the stream's clock at which its time 0 is
        (None: it has no X-TIMESTAMP-MAP).
        """
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
        head, *blocks = _BLOCKS.split(text.strip("\n"))
        shift = place(_zero_of(head))
        for block in blocks:
            cue = _shifted(block, shift)
            if cue is None and not block.startswith(("STYLE", "REGION")):
                continue  # a comment, or nothing that a player could show
            entry = cue or block
            if entry not in self._seen:
                self._seen.add(entry)
                (self._header if cue is None else self._cues).append(entry)

    def __str__(self) -> str:
        return "\n\n".join(["WEBVTT", *self._header, *self._cues]) + "\n"


def _zero_of(head: str) -> float | None:
    match = _MAP.search(head)
    if match is None:
        return None
    values = dict(pair.split(":", 1) for pair in match[1].replace(" ", "").split(",") if ":" in pair)
    ticks, local = values.get("MPEGTS", ""), _seconds(values.get("LOCAL", ""))
    if local is None or not re.fullmatch(r"[0-9]{1,12}", ticks):
        return None
    return int(ticks) / 90_000 - local


def _shifted(block: str, shift: float) -> str | None:
    """A cue with its times moved; None when the block is no cue, or is over before the video begins."""
    lines = block.split("\n")
    for number, line in enumerate(lines[:2]):
        match = _TIMING.match(line)
        if match is None:
            continue
        start, end = _seconds(match[1]), _seconds(match[2])
        if start is None or end is None or end + shift <= 0:
            return None
        lines[number] = f"{_written(start + shift)} --> {_written(end + shift)}{match[3].rstrip()}"
        return "\n".join(lines)
    return None


def _seconds(text: str) -> float | None:
    match = re.fullmatch(r"(?:(\d{1,9}):)?(\d{2}):(\d{2}\.\d{3})", text)
    if match is None:
        return None
    seconds = int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])
    return seconds if seconds < _LONGEST_SECONDS else None


def _written(seconds: float) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"
