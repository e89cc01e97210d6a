"""HLS playlists (RFC 8216): which variant, which segments, and what isn't supported is named instead of
ignored.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import m3u8
from requests.utils import requote_uri

from queue_app.downloaders.base import Limits
from queue_app.failures import BadSource

_LINE_BYTES = 64 * 1024
_DRM = "The stream is protected by DRM, which Reelkeep does not touch ({})."

# Reading on without these would give a video with holes, noise or wrong order that looks whole.
_UNSUPPORTED = {
    "EXT-X-BYTERANGE": "byte ranges",
    "EXT-X-DISCONTINUITY": "discontinuities",
    "EXT-X-DEFINE": "variables",
    "EXT-X-SKIP": "delta updates",
    "EXT-X-I-FRAMES-ONLY": "I-frames only",
}
_TAG = re.compile(r"#(EXT[A-Z0-9-]*)(?::(.*))?")
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')


@dataclass(frozen=True)
class MediaPlaylist:
    """A whole stream: what to fetch, in order."""

    segments: tuple[str, ...]
    """Absolute URLs."""
    init: str | None
    """URL of the fragmented MP4's beginning (EXT-X-MAP); None for MPEG-TS."""
    durations: tuple[float, ...]
    """Seconds of each segment (EXTINF)."""

    @property
    def duration(self) -> float:
        """Seconds of the whole."""
        return math.fsum(self.durations)

    def identity(self) -> str:
        """A sha256 in hex that is the same for the same segments in the same order, however their URLs are signed."""
        names = [url.partition("?")[0] for url in (self.init or "", *self.segments)]
        return hashlib.sha256(json.dumps([names, self.durations]).encode()).hexdigest()


def is_master(text: str) -> bool:
    """Does this playlist list variants rather than segments?"""
    return any(line.startswith("#EXT-X-STREAM-INF") for line in text.splitlines())


def choose_variant(text: str, base_url: str, resolution: str | None) -> str:
    """The media playlist's URL in the master playlist `text` that fits `resolution` ("720p"; None: the best).

    Takes the nearest height that isn't above the wanted one, else the lowest. Raises BadSource.
    """
    _check_tags(_tags(text))
    master = _parse(text, base_url)
    variants = [v for v in master.playlists if v.uri]
    if not variants:
        raise BadSource("The master playlist lists no stream.")
    chosen = _nearest(variants, _height(resolution))
    for kind in ("audio", "video"):
        group = getattr(chosen.stream_info, kind)
        if group and any(m.uri and m.group_id == group and m.type == kind.upper() for m in master.media):
            raise BadSource(f"The stream has a separate {kind} track (EXT-X-MEDIA), which is not supported yet.")
    return _absolute(base_url, chosen.uri)


def read_media(text: str, base_url: str, limits: Limits) -> MediaPlaylist:
    """The segments of the media playlist `text`. Raises BadSource for all that can't be taken whole."""
    if is_master(text):
        raise BadSource("The master playlist points to another master playlist.")
    tags = _tags(text)
    names = [name for name, _ in tags]
    if names.count("EXTINF") > limits.max_segments:
        raise BadSource(f"The playlist has more than {limits.max_segments} segments.")
    _check_tags(tags)
    _check_gaps(names)
    init = _init_segment(tags)
    segments = [s for s in _parse(text, base_url).segments if s.uri]
    if not segments:
        raise BadSource("The playlist has no segments.")
    if len(segments) != names.count("EXTINF"):
        raise BadSource("The playlist is malformed: not every EXTINF has its segment.")
    if "EXT-X-ENDLIST" not in names:
        raise BadSource("The playlist has no end (EXT-X-ENDLIST): live streams are not archived yet.")
    return MediaPlaylist(
        segments=tuple(_absolute(base_url, s.uri) for s in segments),
        init=_absolute(base_url, init) if init is not None else None,
        durations=_durations(segments),
    )


def decode(body: bytes) -> str:
    """The playlist's text. Raises BadSource if it isn't one."""
    try:
        text = body.decode("utf-8-sig").lstrip()
    except UnicodeDecodeError:
        raise BadSource("The playlist is not UTF-8 text.") from None
    if not text.startswith("#EXTM3U"):
        raise BadSource("The source answered something else than a playlist (no #EXTM3U).")
    if any(len(line) > _LINE_BYTES for line in text.splitlines()):
        raise BadSource("The playlist is malformed: it has an endless line.")
    return text


def _parse(text: str, base_url: str) -> Any:
    try:
        return m3u8.loads(text, uri=base_url)
    except Exception as error:  # m3u8 raises almost anything on hostile input
        raise BadSource(f"The playlist is malformed ({type(error).__name__}).") from error


def _tags(text: str) -> list[tuple[str, str]]:
    # m3u8 drops tags that it doesn't know, so what must be refused is looked for in the text.
    matches = (_TAG.match(line.strip()) for line in text.splitlines() if line.lstrip().startswith("#EXT"))
    return [(m[1], m[2] or "") for m in matches if m]


def _attributes(value: str) -> dict[str, str]:
    return {name: content.strip('"') for name, content in _ATTRIBUTE.findall(value)}


def _check_tags(tags: list[tuple[str, str]]) -> None:
    for name, value in tags:
        if name in {"EXT-X-KEY", "EXT-X-SESSION-KEY"}:
            _check_key(name, _attributes(value))
        elif name in _UNSUPPORTED:
            raise BadSource(f"The playlist uses {_UNSUPPORTED[name]} ({name}), which are not supported yet.")


def _check_key(name: str, key: dict[str, str]) -> None:
    method = key.get("METHOD", "")
    if method == "NONE":
        return
    if method != "AES-128" or key.get("KEYFORMAT", "identity") != "identity":
        raise BadSource(_DRM.format(f"{name} METHOD={method[:40]}"))
    raise BadSource(f"The stream is encrypted ({name} METHOD=AES-128), which is not supported yet.")


def _check_gaps(names: list[str]) -> None:
    if "EXT-X-GAP" in names:
        # The tag may stand before or after its segment's EXTINF; either way it is the next one or this one.
        number = max(1, names[: names.index("EXT-X-GAP")].count("EXTINF"))
        raise BadSource(f"The source says that the segment at or after number {number} is missing (EXT-X-GAP).")


def _init_segment(tags: list[tuple[str, str]]) -> str | None:
    maps = [_attributes(value) for name, value in tags if name == "EXT-X-MAP"]
    if not maps:
        return None
    if any("BYTERANGE" in m for m in maps):
        raise BadSource("The playlist uses byte ranges (EXT-X-MAP BYTERANGE), which are not supported yet.")
    names = [name for name, _ in tags if name in {"EXT-X-MAP", "EXTINF"}]
    if len({m.get("URI") for m in maps}) > 1 or names[0] != "EXT-X-MAP":
        raise BadSource("The playlist has several beginnings (EXT-X-MAP), which are not supported yet.")
    uri = maps[0].get("URI")
    if not uri:
        raise BadSource("The playlist is malformed: EXT-X-MAP has no URI.")
    return uri


def _durations(segments: list[Any]) -> tuple[float, ...]:
    durations = tuple(float(s.duration or 0) for s in segments)
    if not all(math.isfinite(d) and d >= 0 for d in durations):
        raise BadSource("The playlist is malformed: a segment's duration is not a number of seconds.")
    return durations


def _absolute(base_url: str, uri: str) -> str:
    try:
        return requote_uri(urljoin(base_url, uri.strip()))
    except ValueError:
        raise BadSource("The playlist is malformed: it holds an address that is none.") from None


def _height(resolution: str | None) -> int | None:
    match = re.match(r"(\d{2,5})p?", resolution or "")
    return int(match[1]) if match else None


def _nearest(variants: list[Any], wanted: int | None) -> Any:
    def height(variant: Any) -> int:
        return int((variant.stream_info.resolution or (0, 0))[1])

    def quality(variant: Any) -> tuple[int, int]:
        return height(variant), int(variant.stream_info.bandwidth or 0)

    known = [v for v in variants if height(v)]
    if wanted is None or not known:
        return max(variants, key=lambda v: int(v.stream_info.bandwidth or 0))
    fitting = [v for v in known if height(v) <= wanted]
    if fitting:
        return max(fitting, key=quality)
    lowest = min(height(v) for v in known)
    return max((v for v in known if height(v) == lowest), key=quality)
