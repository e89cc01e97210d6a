"""What ffmpeg says at its level `error`: any line is a sign of damage, but for a few that good files cause too."""

from __future__ import annotations

import re

from queue_app.media.ffmpeg import without_paths

_HARMLESS = (
    # The null muxer's own rule: two pictures whose times fall together in the frame rate it guessed for a stream of
    # variable rate. Time stamps are judged by `holes`, from the packets.
    re.compile(r"^\[null[^\]]*\] Application provided invalid, non monotonically increasing dts to muxer in stream"),
    # A stream with open groups of pictures that was cut at a key frame: it tells the decoder to forget pictures from
    # before the cut. Nothing is drawn from them.
    re.compile(r"^\[h264[^\]]*\] mmco: unref short failure"),
)
_REPEATED = re.compile(r"^\s*Last message repeated \d+ times")
_KEPT_LINES = 40
_SHORT = 120


class Complaints:
    """Sorts a program's complaints while it runs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        """The first 40 lines that mean damage, without paths."""
        self.harmless: dict[str, int] = {}
        """How often each harmless complaint came."""
        self._last_was_harmless = False

    def take(self, lines: list[str]) -> None:
        """The next lines of the program's error channel."""
        for line in lines:
            if not _REPEATED.match(line):
                self._last_was_harmless = self._is_harmless(line)
            if not self._last_was_harmless and len(self.lines) < _KEPT_LINES and line.strip():
                self.lines.append(without_paths(line))

    def text(self) -> str:
        """All that means damage."""
        return "\n".join(self.lines)

    def first(self) -> str:
        """The first line that means damage, short and without the name of ffmpeg's part; "" when there is none."""
        line = re.sub(r"^(\[[^\]]*\]\s*)+", "", self.lines[0]) if self.lines else ""
        return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"

    def _is_harmless(self, line: str) -> bool:
        for pattern in _HARMLESS:
            if pattern.match(line):
                name = re.sub(r"^\[[^\]]*\] ", "", line).partition(" in stream")[0]
                self.harmless[name] = self.harmless.get(name, 0) + 1
                return True
        return False
