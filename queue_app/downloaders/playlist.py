"""The text of an HLS playlist as tags, attributes and addresses (RFC 8216 §4; EXT-X-DEFINE: rfc8216bis §4.4.2.3).

The libraries that read playlists crash on hostile ones, or pass over tags that change which bytes are meant. What is
wrong with a playlist is always a BadSource here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
from requests.utils import requote_uri

from queue_app.failures import BadSource

_LINE_CHARACTERS = 64 * 1024
_LINE_END = re.compile(r"\r\n|\n|\r")
_TAG = re.compile(r"#(EXT[A-Z0-9-]*)(?::(.*))?", re.DOTALL)
_ATTRIBUTE = re.compile(r'\s*([A-Za-z0-9-]+)\s*=\s*("[^"]*"|[^",]*)[^,]*(?:,|$)')
_VARIABLE = re.compile(r"\{\$([a-zA-Z0-9_-]+)\}")


@dataclass(frozen=True)
class Line:
    """A tag with its value, or (`tag` is "") the address of a playlist or segment."""

    tag: str
    value: str


@dataclass
class Variables:
    """What `{$name}` stands for in one playlist."""

    playlist_url: str
    imported: Mapping[str, str] = field(default_factory=dict)
    """Those of the master playlist that led here."""
    known: dict[str, str] = field(default_factory=dict)

    def define(self, attributes: Mapping[str, str]) -> None:
        """Obey one EXT-X-DEFINE."""
        if "NAME" in attributes:
            self.known[attributes["NAME"]] = attributes.get("VALUE", "")
            return
        for kind, values in (("IMPORT", self.imported), ("QUERYPARAM", _query(self.playlist_url))):
            if (name := attributes.get(kind)) is not None:
                if name not in values:
                    raise BadSource(f"The playlist asks for a variable that isn't given (EXT-X-DEFINE {kind}).")
                self.known[name] = values[name]
                return
        raise BadSource("The playlist is malformed: EXT-X-DEFINE names no variable.")

    def expand(self, text: str) -> str:
        """`text` with its variables replaced, once: values aren't looked through again."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self.known:
                raise BadSource("The playlist uses a variable that it doesn't define (EXT-X-DEFINE).")
            return self.known[match[1]]

        if "{$" not in text:
            return text
        expanded = _VARIABLE.sub(value, text)
        if len(expanded) > _LINE_CHARACTERS:
            raise BadSource("The playlist is malformed: it has an endless line.")
        return expanded


@dataclass(frozen=True)
class Playlist:
    """A playlist's lines after #EXTM3U, without comments; variables are replaced while they are read."""

    lines: tuple[Line, ...]
    url: str
    """Where it came from: its own addresses are relative to it."""
    variables: Variables

    @classmethod
    def read(cls, body: bytes, url: str, imported: Mapping[str, str] | None = None) -> Self:
        """Raises BadSource if `body` is no playlist."""
        try:
            text = body.decode("utf-8-sig").lstrip()
        except UnicodeDecodeError:
            raise BadSource("The playlist is not UTF-8 text.") from None
        if not text.startswith("#EXTM3U"):
            raise BadSource("The source answered something else than a playlist (no #EXTM3U).")
        lines = _LINE_END.split(text)
        if any(len(line) > _LINE_CHARACTERS for line in lines):
            raise BadSource("The playlist is malformed: it has an endless line.")
        return cls(tuple(_parsed(lines)), url, Variables(url, imported or {}))

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    def has(self, tag: str) -> bool:
        """Is there such a tag?"""
        return any(line.tag == tag for line in self.lines)

    @property
    def is_master(self) -> bool:
        """Does it list variants rather than segments?"""
        return self.has("EXT-X-STREAM-INF")

    def attributes(self, line: Line) -> dict[str, str]:
        """The attribute list of a tag (RFC 8216 §4.2), without quotes; of equal names the first counts."""
        found: dict[str, str] = {}
        position = 0
        while 0 <= position < len(line.value):
            match = _ATTRIBUTE.match(line.value, position)
            if match:
                found.setdefault(match[1], self.variables.expand(match[2].strip().strip('"')))
                position = match.end()
            else:
                position = line.value.find(",", position) + 1 or len(line.value)
        return found

    def absolute(self, uri: str) -> str:
        """The URL that an address in this playlist means. Raises BadSource when it means none."""
        expanded = self.variables.expand(uri.strip())
        try:
            url = urljoin(self.url, expanded)
            scheme = urlsplit(url).scheme.lower()
            if scheme == "data":
                return url
            url = requote_uri(url)
        except (ValueError, requests.RequestException):
            raise BadSource("The playlist is malformed: it holds an address that is none.") from None
        if scheme not in {"http", "https"}:
            raise BadSource(f"The playlist leads to an address that is not HTTP ({scheme[:20]}:).")
        return url


def _parsed(lines: list[str]) -> Iterator[Line]:
    for line in lines:
        text = line.strip()
        if not text:
            continue
        if not text.startswith("#"):
            yield Line("", text)
        elif (match := _TAG.match(text)) and match[1] != "EXTM3U":
            yield Line(match[1], match[2] or "")


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
