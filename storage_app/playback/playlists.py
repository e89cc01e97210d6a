"""Rewrites HLS playlists (RFC 8216bis) so that everything they lead to comes through `/proxy` as well.

Line by line, and every byte that isn't a link stays as it is: bytes are read as characters of their own (ISO 8859-1),
so that any encoding, or none, survives. Links are URI lines and the values of URI, SERVER-URI, X-ASSET-URI and
X-ASSET-LIST of any tag; schemes other than http and https (`skd:`, `data:`) are left alone. Variables in them are
replaced, since a player can't do that inside of a signed link, and EXT-X-DEFINE tags that ask for the query or for what
the multivariant playlist defines get the value written out. A BOM and blank lines in front are dropped: players refuse
them. `cloudflare_worker/src/playlists.js` gives the same bytes; `tests/vectors/playlists.json` holds both to it.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from storage_app.playback.playlist_tags import DEFINE, Variables, attributes
from storage_app.playback.playlist_urls import Resolver, resolve
from storage_app.playback.signing import Signer, directory, percent_encoded

__all__ = ["MAX_LINES", "MAX_REWRITTEN", "SNIFFED", "PlaylistTooLarge", "ends", "is_playlist", "resolve", "rewrite"]

MAX_LINES = 250_000
MAX_REWRITTEN = 12 * 2**20
"""Bytes of links: a playlist of short names from a long URL could become a thousand times as large."""
SNIFFED = 512
"""Bytes of a body that `is_playlist` looks at."""

_TAG = "#EXT-X-"
_LINKED = {"URI", "SERVER-URI", "X-ASSET-URI", "X-ASSET-LIST"}
_PREFETCH = {"#EXT-X-PREFETCH", "#EXT-X-TWITCH-PREFETCH"}  # the URL is all that comes after the colon
_OF_VARIANTS = ("#EXT-X-STREAM-INF:", "#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-MEDIA:")
_PLAYLISTS_OF_VARIANTS = {"#EXT-X-MEDIA", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-IMAGE-STREAM-INF"}
_REPORT = "#EXT-X-RENDITION-REPORT"

_IN_FRONT = re.compile(rb"(?:\xef\xbb\xbf|[ \t\r\n])*")
_PATH = re.compile(r"[^/?#]*//[^/?#]*([^?#]*)")
_BREAK = re.compile(r"(\r\n?|\n)")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
# References that differ from their neighbours only in the name: what is in front of it is resolved and signed once.
_NAMED = re.compile(r"((?:[^?#]*/)?)([A-Za-z0-9_-][A-Za-z0-9_.~-]*)(\?[!$-;=?-Z\[\]_a-z~%]*)?")
# The usual attribute list: its one link in quotes, and nothing odd in front of it. Three times as fast to find.
_SIMPLE = re.compile(r'(?:[A-Z0-9-]+=(?:"[^"]*"|[^",]*),)*?URI="([^"]*)"(?:,|$)')


class PlaylistTooLarge(ValueError):
    """It has too many lines, or would become too large."""


def rewrite(text: bytes | str, base: str, signer: Signer, variables: str = "") -> bytes:
    """The playlist `text` from the URL `base`, with links that `signer` signs, relative to this origin (`/proxy?…`).

    `variables` are those that its own link brought along. Takes time linear in the size. Raises PlaylistTooLarge.
    """
    data = text.encode(errors="replace") if isinstance(text, str) else text
    content = data[_length_in_front(data) :].decode("latin-1")
    if content.count("\n") + content.count("\r") - content.count("\r\n") > MAX_LINES:
        raise PlaylistTooLarge(f"The playlist has more than {MAX_LINES} lines.")
    return _Rewriting(content, base, signer, variables).text().encode("latin-1")


def is_playlist(content_type: str, url: str, head: bytes) -> bool:
    """Whether an answer from `url` is one, by its Content-Type, its name or its first SNIFFED bytes."""
    kind = content_type.partition(";")[0].strip().lower()
    path = _PATH.match(url)
    if "mpegurl" in kind or (path and path[1].lower().endswith((".m3u8", ".m3u"))):
        return True
    untold = kind in {"", "text/plain"} or kind.endswith("/octet-stream")
    return untold and head.startswith(b"#EXTM3U", _length_in_front(head))


def ends(text: bytes | str) -> bool:
    """Whether this playlist will not change: it has EXT-X-ENDLIST, or lists variants."""
    content = text.decode("latin-1") if isinstance(text, bytes) else text
    return _has_line(content, "#EXT-X-ENDLIST") or _lists_variants(content)


class _Rewriting:
    """Of one playlist."""

    def __init__(self, content: str, base: str, signer: Signer, variables: str) -> None:
        self._break, self._lines = _lines(content)
        self._resolver, self._signer = Resolver(base), signer
        self._room = MAX_REWRITTEN
        self._before: dict[str, str | None] = {}
        self._query = ("", "")
        self._variables = Variables(self._resolver.query, variables)
        self._define(content)
        self._has_variants = _lists_variants(content)
        self._handed_on = self._variables.handed_on() if self._has_variants else variables

    def text(self) -> str:
        """The new playlist."""
        lines = self._lines
        for number, line in enumerate(lines):
            if not line:
                continue
            if line[0] == "#":
                if "URI" not in line and "X-ASSET-LIST" not in line and "PREFETCH" not in line:
                    continue
                new = self._tag(line)
            else:
                new = self._uri_line(line)
            if new is not line:
                self._spend(len(new))
                lines[number] = new
        return self._break.join(lines)

    def _define(self, content: str) -> None:
        if DEFINE not in content:
            return
        for number, line in enumerate(self._lines):
            if line.startswith(DEFINE):
                new = self._variables.define(line)
                self._spend(len(new))
                self._lines[number] = new

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise PlaylistTooLarge(f"The rewritten playlist is larger than {MAX_REWRITTEN >> 20} MiB.")

    def _uri_line(self, line: str) -> str:
        text = line.strip(" \t\r\n")
        if not text:
            return line
        if text[0] == "#":
            return self._tag(line)
        return self._link(text, with_variables=self._has_variants) or line

    def _tag(self, line: str) -> str:
        name, colon, rest = line.partition(":")
        tag = name.strip(" \t")
        if not colon or not tag.startswith(_TAG) or line.startswith(DEFINE):
            return line
        if tag in _PREFETCH:
            link = self._link(rest)
            return f"{name}:{link}" if link else line
        with_variables = tag in _PLAYLISTS_OF_VARIANTS if self._has_variants else tag == _REPORT
        return f"{name}:{self._attributes(rest, with_variables)}"

    def _attributes(self, text: str, with_variables: bool) -> str:
        simple = _SIMPLE.match(text)
        if simple and text.count("URI") == 1 and "X-ASSET-LIST" not in text:
            start, stop = simple.span(1)
            link = self._link(simple[1], with_variables)
            return text[:start] + link + text[stop:] if link else text
        pieces: list[str] = []
        done = 0
        for attribute in attributes(text, _LINKED):
            link = self._link(attribute.value, with_variables)
            if link:
                pieces += (text[done : attribute.start], link)
                done = attribute.stop
        return "".join(pieces) + text[done:]

    def _link(self, reference: str, with_variables: bool = False) -> str | None:
        """None for what isn't to be linked."""
        if self._variables:
            reference = self._variables.replace(reference)
        if with_variables and self._handed_on:
            url = self._web_url(reference)
            return url and f"/proxy?{self._signer.exact(url, self._handed_on)}"
        named = _NAMED.fullmatch(reference)
        if named:
            front, name, query = named.groups()
            before = self._before[front] if front in self._before else self._in_front(front)
            if before:
                return before + name + self._encoded(query) if query else before + name
        url = self._web_url(reference)
        return url and f"/proxy?{self._signer.child(url)}"

    def _encoded(self, query: str) -> str:
        """Mostly all segments have the same."""
        if query != self._query[0]:
            self._query = (query, percent_encoded(query))
        return self._query[1]

    def _in_front(self, front: str) -> str | None:
        """The link up to the name of what `front` leads to; None when its URLs aren't signed by their directory."""
        url = self._web_url(f"{front}x")
        before = None
        if url and url[:-1] == directory(url):
            before = f"/proxy?{self._signer.within(url[:-1])}"
        self._before[front] = before
        return before

    def _web_url(self, reference: str) -> str | None:
        return self._resolver.web_url(_NOT_ASCII.sub(_percent, reference))


def _length_in_front(data: bytes) -> int:
    blank = _IN_FRONT.match(data)
    return blank.end() if blank else 0


def _percent(match: re.Match[str]) -> str:
    return quote(match[0], safe="", encoding="latin-1")


def _lines(content: str) -> tuple[str, list[str]]:
    """What the lines are to be joined with, and they; with breaks of more than one kind, these are between them."""
    returns, both = content.count("\r"), content.count("\r\n")
    if not returns:
        return "\n", content.split("\n")
    if returns == both == content.count("\n"):
        return "\r\n", content.split("\r\n")
    return "", _BREAK.split(content)


def _lists_variants(content: str) -> bool:
    return any(_has_line(content, tag) for tag in _OF_VARIANTS)


def _has_line(content: str, start: str) -> bool:
    place = content.find(start)
    while place > 0 and content[place - 1] not in "\r\n":
        place = content.find(start, place + 1)
    return place >= 0
