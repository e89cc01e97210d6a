"""Which content types of strangers are passed on: what only a player makes something of, never what a browser runs."""

from __future__ import annotations

import re

UNKNOWN = "application/octet-stream"
PLAYLIST = "application/vnd.apple.mpegurl"

_MEDIA = re.compile(r"(?:video|audio|image)/[a-z0-9_.+-]+")
_FURTHER = {"text/vtt", "application/mp4", "application/ttml+xml", "application/dash+xml", PLAYLIST}
_RUNS_SCRIPTS = {"image/svg+xml"}


def bare(content_type: str) -> str:
    """In lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def passed_on(content_type: str) -> str:
    """What viewers are told: the bare type, or application/octet-stream in the place of one that could do harm."""
    kind = bare(content_type)
    harmless = kind in _FURTHER or (_MEDIA.fullmatch(kind) is not None and kind not in _RUNS_SCRIPTS)
    return kind if harmless else UNKNOWN


def says_nothing(content_type: str) -> bool:
    """Is it one that servers give to what they don't know? Only the content tells whether it is a playlist."""
    kind = bare(content_type)
    return kind in {"", "text/plain"} or kind.endswith("/octet-stream")
