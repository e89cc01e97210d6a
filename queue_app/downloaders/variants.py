"""What of a master playlist is wanted (RFC 8216 §4.3.4): one variant, with its sound, pictures and subtitles."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from queue_app.downloaders.keys import check_key
from queue_app.downloaders.playlist import Playlist
from queue_app.failures import BadSource

_MOST_RENDITIONS = 64
_Attributes = Mapping[str, str]


@dataclass(frozen=True)
class Rendition:
    """A media playlist of the stream; `url` is None for sound that is in the main one."""

    url: str | None
    language: str | None = None
    name: str = ""


@dataclass(frozen=True)
class Selection:
    """The playlists that make up the video."""

    main: Rendition
    audio: tuple[Rendition, ...] = ()
    """Separate audio tracks, the default one first."""
    subtitles: tuple[Rendition, ...] = ()


@dataclass(frozen=True)
class _Variant:
    url: str
    attributes: _Attributes

    @property
    def height(self) -> int:
        match = re.fullmatch(r"\d{1,5}x(\d{1,5})", self.attributes.get("RESOLUTION", "").lower())
        return int(match[1]) if match else 0

    @property
    def bandwidth(self) -> int:
        value = self.attributes.get("BANDWIDTH", "")
        return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else 0


def select(master: Playlist, resolution: str | None) -> Selection:
    """The variant that fits `resolution` ("720p"; None: the best), with all that belongs to it. Raises BadSource.

    Takes the nearest height that isn't above the wanted one, else the lowest.
    """
    variants, media = _read(master)
    if not variants:
        raise BadSource("The master playlist lists no stream.")
    chosen = _nearest(variants, _height(resolution))

    def group(kind: str) -> list[_Attributes]:
        name = chosen.attributes.get(kind)
        found = [a for a in media if name and (a.get("TYPE"), a.get("GROUP-ID")) == (kind, name)]
        if len(found) > _MOST_RENDITIONS:
            raise BadSource(f"The master playlist lists more than {_MOST_RENDITIONS} tracks of one kind.")
        return sorted(found, key=_preference)

    audio, video, subtitles = (group(kind) for kind in ("AUDIO", "VIDEO", "SUBTITLES"))
    inside = next((a for a in audio if not a.get("URI")), {})
    url = master.absolute(video[0]["URI"]) if video and video[0].get("URI") else chosen.url
    return Selection(
        Rendition(url, inside.get("LANGUAGE"), inside.get("NAME", "")),
        _separate(audio, master.absolute, besides=url),
        _separate(subtitles, master.absolute, besides=url),
    )


def _read(master: Playlist) -> tuple[list[_Variant], list[_Attributes]]:
    variants: list[_Variant] = []
    media: list[_Attributes] = []
    stream: _Attributes | None = None
    for line in master:
        if line.tag == "EXT-X-DEFINE":
            master.variables.define(master.attributes(line))
        elif line.tag == "EXT-X-STREAM-INF":
            stream = master.attributes(line)
        elif line.tag == "EXT-X-MEDIA":
            media.append(master.attributes(line))
        elif line.tag == "EXT-X-SESSION-KEY":
            check_key(line.tag, master.attributes(line))
        elif not line.tag and stream is not None:
            variants.append(_Variant(master.absolute(line.value), stream))
            stream = None
    return variants, media


def _preference(attributes: _Attributes) -> tuple[bool, bool]:
    """Sorts the default rendition first, then those that a player may choose by itself."""
    return attributes.get("DEFAULT") != "YES", attributes.get("AUTOSELECT") != "YES"


def _separate(renditions: list[_Attributes], absolute: Callable[[str], str], *, besides: str) -> tuple[Rendition, ...]:
    found: dict[str, Rendition] = {}
    for attributes in renditions:
        if uri := attributes.get("URI"):
            url = absolute(uri)
            found.setdefault(url, Rendition(url, attributes.get("LANGUAGE"), attributes.get("NAME", "")))
    found.pop(besides, None)
    return tuple(found.values())


def _height(resolution: str | None) -> int | None:
    match = re.match(r"(\d{2,5})p?", resolution or "")
    return int(match[1]) if match else None


def _nearest(variants: list[_Variant], wanted: int | None) -> _Variant:
    def quality(variant: _Variant) -> tuple[int, int]:
        return variant.height, variant.bandwidth

    known = [variant for variant in variants if variant.height]
    if wanted is None or not known:
        return max(variants, key=lambda variant: variant.bandwidth)
    fitting = [variant for variant in known if variant.height <= wanted]
    if fitting:
        return max(fitting, key=quality)
    lowest = min(variant.height for variant in known)
    return max((variant for variant in known if variant.height == lowest), key=quality)
