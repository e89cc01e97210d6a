"""Which of the media that a browser fetched for a page is the page's video."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from queue_app.downloaders.page_choice import weight
from queue_app.downloaders.page_links import MEDIA_SUFFIXES, suffix

_PLAYLIST_TYPES = {"application/vnd.apple.mpegurl", "application/x-mpegurl", "application/mpegurl", "audio/mpegurl"}
_DASH_TYPES = {"application/dash+xml"}
_EXTINF = re.compile(r"^#EXTINF:\s*([\d.]+)", re.MULTILINE)
_UNKNOWN_SECONDS = 60.0
"""What a playlist is taken for whose length isn't known: longer than an advertisement."""


@dataclass
class Media:
    """One answer that looks like media."""

    url: str
    kind: str
    """'playlist', 'dash', 'file', or 'piece': what a script fetched to feed the player bit by bit."""
    size: int | None = None
    text: str = ""
    """Of a playlist, if it could be read."""


def kind_of(url: str, content_type: str, resource_type: str) -> str | None:
    """The kind of `Media` that an answer is; None for everything else. `resource_type` is the browser's word for it."""
    name, media_type = suffix(url), content_type.partition(";")[0].strip().lower()
    if media_type in _PLAYLIST_TYPES or name == ".m3u8":
        return "playlist"
    if media_type in _DASH_TYPES or name == ".mpd":
        return "dash"
    if not media_type.startswith("video/") and not (name in MEDIA_SUFFIXES and media_type in _VAGUE_TYPES):
        return None
    return "file" if resource_type in {"media", "document"} else "piece"


_VAGUE_TYPES = {"", "application/octet-stream", "binary/octet-stream", "application/mp4"}


def choose(seen: list[Media], durations: Mapping[str, float]) -> Media | None:
    """The heaviest of the playlists and files in `seen`, which are in the order of their arrival.

    Playlists that a master playlist lists are part of that one. `durations` are what <video> elements say, in seconds,
    by URL.
    """
    playlists = [media for media in seen if media.kind == "playlist"]
    listed = {media.url: _listed(media) for media in playlists}
    children = {url for media in playlists if _is_master(media) for url in listed[media.url]}
    tops = [media for media in playlists if media.url not in children]
    texts = {media.url: media.text for media in playlists}
    weights: list[tuple[float, Media]] = []
    for media in tops:
        below = [_seconds(texts[url]) for url in listed[media.url] if url in texts]
        known = max([_seconds(media.text), durations.get(media.url, 0.0), *below])
        weights.append((weight(None, known or _UNKNOWN_SECONDS), media))
    for media in seen:
        if media.kind == "file":
            weights.append((weight(media.size, durations.get(media.url)), media))
    return max(weights, key=lambda pair: pair[0])[1] if weights else None


def total_size(headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole file that an answer is (a part) of (RFC 9110 §14.4), None when it doesn't say."""
    said = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() else None


def _is_master(media: Media) -> bool:
    return "#EXT-X-STREAM-INF" in media.text


def _listed(media: Media) -> set[str]:
    """The URLs of the lines and URI attributes of a playlist."""
    lines = [line.strip() for line in media.text.splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    names += re.findall(r'URI="([^"]+)"', media.text)
    return {urljoin(media.url, name) for name in names if urlsplit(name).scheme in {"", "http", "https"}}


def _seconds(text: str) -> float:
    return sum(float(value) for value in _EXTINF.findall(text) if value.count(".") < 2)
