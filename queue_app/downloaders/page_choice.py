"""Which of the videos and formats that a page offers is the one to keep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from queue_app.downloaders.page_links import looks_like_page

_PLAYLISTS = {"m3u8", "m3u8_native"}
_FILES = {"http", "https"}
_DASH = {"http_dash_segments", "http_dash_segments_generator", "mhtml", "ism", "f4m"}
_HEIGHT_IN_NAME = re.compile(r"(?<!\d)(\d{3,4})p(?:\d\d)?(?![a-z0-9])", re.IGNORECASE)
BYTES_A_SECOND = 125_000
"""What a video of known duration is reckoned to weigh beside one of known size: 1 Mbit/s."""

DRM = "The video is protected by DRM, which is not circumvented."
DASH_ONLY = "The page offers its video only as DASH, which is not supported yet."
SEPARATE = "The page offers picture and sound only as separate files, which can't be joined safely."


@dataclass(frozen=True)
class Option:
    """One way to fetch a video."""

    url: str
    height: int | None
    playlist: bool


@dataclass
class Offer:
    """What the formats of one video come to."""

    options: list[Option] = field(default_factory=list)
    """Worst first."""
    pages: list[str] = field(default_factory=list)
    """Players of their own, given out as if they were videos."""
    reasons: set[str] = field(default_factory=set)
    """Why others can't be fetched: DRM, DASH_ONLY, SEPARATE."""


def offer(formats: Iterable[Mapping[str, Any]]) -> Offer:
    """What can be fetched of yt-dlp's formats (worst first)."""
    result = Offer()
    for entry in formats:
        url, protocol = str(entry.get("url") or ""), str(entry.get("protocol") or "")
        if entry.get("has_drm"):
            result.reasons.add(DRM)
        elif protocol in _DASH or (protocol in _FILES and entry.get("manifest_url")):
            result.reasons.add(DASH_ONLY)
        elif not url.startswith(("http://", "https://")) or protocol not in _PLAYLISTS | _FILES:
            continue
        elif protocol in _PLAYLISTS:
            if entry.get("vcodec") != "none":
                result.options.append(Option(str(entry.get("manifest_url") or url), _height(entry), playlist=True))
        elif looks_like_page(url):
            result.pages.append(url)
        elif "none" in {entry.get("vcodec"), entry.get("acodec")}:
            result.reasons.add(SEPARATE)
        else:
            result.options.append(Option(url, _height(entry), playlist=False))
    return result


def height_in_name(url: str) -> int | None:
    """720 for ".../film-720p.mp4"; None when the name doesn't say."""
    found = _HEIGHT_IN_NAME.search(url.rpartition("/")[2])
    return int(found[1]) if found else None


def wanted_height(resolution: str | None) -> int | None:
    """720 for "720p"; None when any will do."""
    digits = re.match(r"\d+", resolution or "")
    return int(digits[0]) if digits else None


def pick(options: list[Option], resolution: str | None) -> Option:
    """The nearest height not above the wanted one, else the lowest; the best when none is wanted.

    Of the same height a file goes before a playlist, else the later one, which is the better one.
    """
    known = [option for option in options if option.height]
    if not known:
        return _best(options)
    heights = {option.height or 0 for option in known}
    wanted = wanted_height(resolution) or max(heights)
    height = max((h for h in heights if h <= wanted), default=min(heights))
    return _best([option for option in known if option.height == height])


def weight(size: int | None, seconds: float | None) -> float:
    """How much a video is, to tell the film from an advertisement or a preview: bytes, about."""
    return max(float(size or 0), (seconds or 0.0) * BYTES_A_SECOND)


def _best(options: list[Option]) -> Option:
    files = [option for option in options if not option.playlist]
    return (files or options)[-1]


def _height(entry: Mapping[str, Any]) -> int | None:
    height = entry.get("height")
    return int(height) if isinstance(height, int | float) and height > 0 else height_in_name(str(entry.get("url")))
