"""What may stand in a video's natural key, wherever it comes from: the API, the admin's form, a stream URL.

Each function returns the value as it is stored, or raises ValueError with a sentence for the person who sent
it. What passes here fits the tables' columns and constraints, and stays one segment of a path or URL.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from storage_app.naming import VideoKey

WORK_MAX = 2**63 - 1
EPISODE_MAX = 2**31 - 1
PROVIDER_LENGTH = 20
RESOLUTION_LENGTH = 10

_DIGITS = re.compile(r"[0-9]{1,30}")
_RESOLUTION = re.compile(r"[0-9A-Za-z._-]+")
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def work_id(value: object) -> int:
    """An integer from 0 to 2^63-1, or a string of its digits."""
    return _whole_number(value, WORK_MAX)


def episode_number(value: object) -> int:
    """An integer from 0 to 2^31-1, or a string of its digits."""
    return _whole_number(value, EPISODE_MAX)


def provider_name(value: object) -> str:
    """1 to 20 characters that make one path segment."""
    if not isinstance(value, str):
        raise ValueError("Must be a string.")  # noqa: TRY004 (one exception for every refusal)
    if not 1 <= len(value) <= PROVIDER_LENGTH:
        raise ValueError(f"Must have 1 to {PROVIDER_LENGTH} characters.")
    if any(unicodedata.category(character) in _INVISIBLE for character in value):
        raise ValueError("Must not hold control characters or other invisible ones.")
    if value != value.strip():
        raise ValueError("Must not begin or end with white space.")
    if "/" in value or "\\" in value or value in {".", ".."}:
        raise ValueError("Must not hold / or \\, nor be . or ..")
    return value


def resolution_name(value: object) -> str | None:
    """Up to 10 letters, digits, dots, hyphens or underscores; nothing (None, the empty string) is None."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("Must be a string or null.")  # noqa: TRY004 (one exception for every refusal)
    if len(value) > RESOLUTION_LENGTH:
        raise ValueError(f"Must have at most {RESOLUTION_LENGTH} characters.")
    if not _RESOLUTION.fullmatch(value) or value in {".", ".."}:
        raise ValueError("Must be letters, digits, dots, hyphens or underscores, for example 720p.")
    return value


def parse_key(work: str, episode: str, provider: str, resolution: str | None) -> VideoKey | None:
    """The key that a stream URL's segments spell; None when no video can have it."""
    try:
        return VideoKey(work_id(work), episode_number(episode), provider_name(provider), resolution_name(resolution))
    except ValueError:
        return None


def filter_by(key: VideoKey) -> dict[str, Any]:
    """Arguments for a queryset's `filter`; `resolution=None` would be `= NULL`, which is never true."""
    found: dict[str, Any] = {"mal_id": key.mal_id, "episode": key.episode, "provider": key.provider}
    if key.resolution is None:
        return {**found, "resolution__isnull": True}
    return {**found, "resolution": key.resolution}


def _whole_number(value: object, maximum: int) -> int:
    # Digits in a string, because JavaScript clients can't write a 19-digit number without rounding it.
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("Must be an integer.")  # noqa: TRY004 (one exception for every refusal)
    if not 0 <= value <= maximum:
        raise ValueError(f"Must be from 0 to {maximum}.")
    return value
