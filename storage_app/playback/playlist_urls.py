"""What a reference in a playlist leads to: RFC 3986 §5.2, by text alone, so that the Worker gives the same string.

Python's `urljoin` and the browsers' `URL` differ, and what is signed has to be what is fetched. Beyond the RFC it does
what players do: white space around a reference and tabs in it don't count, characters that no URL may have are
percent-encoded (as UTF-8; in a host they are left to IDNA), `%2e` is a dot, and `http:x`, `https:/x` and `///x` are
read as browsers read them. The Worker's form is `cloudflare_worker/src/resolve.js`.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

_AROUND = "".join(map(chr, range(0x21)))
_BREAKS = re.compile(r"[\t\n\r]+")
_NOT_OF_URLS = re.compile(r"[^!#-;=?-Z\[\]_a-z~]+")
_WEB = re.compile(r"(https?):([/\\]*)", re.IGNORECASE | re.ASCII)
_SLASHES = re.compile(r"[/\\]{2,}")
_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
_NOT_ASCII = re.compile(r"(?:%[89A-Fa-f][0-9A-Fa-f])+")
_MAYBE_DOTS = re.compile(r"(?:^|/)(?:\.|%2e)", re.IGNORECASE)
_DOT = {".", "%2e"}
_DOUBLE_DOT = {"..", ".%2e", "%2e.", "%2e%2e"}


class _Parts(NamedTuple):
    """Of a URL or a reference; None is what isn't there. The scheme is in lower case."""

    scheme: str | None
    authority: str | None
    path: str
    query: str | None
    fragment: str | None

    def __str__(self) -> str:
        scheme = "" if self.scheme is None else f"{self.scheme}:"
        authority = "" if self.authority is None else f"//{self.authority}"
        query = "" if self.query is None else f"?{self.query}"
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return f"{scheme}{authority}{self.path}{query}{fragment}"


class Resolver:
    """Resolves references against one base, the URL that the playlist came from."""

    def __init__(self, base: str) -> None:
        self._base = _split(_clean(base))

    @property
    def query(self) -> str:
        """That of the base, as it is written there."""
        return self._base.query or ""

    def resolve(self, reference: str) -> str:
        """RFC 3986 §5.2.2, with the fragment of the reference."""
        return str(self._target(_clean(self._as_browsers_read(reference))))

    def web_url(self, reference: str) -> str | None:
        """The http(s) URL, without its fragment; None for one without a host, other schemes and empty references."""
        text = _clean(self._as_browsers_read(reference))
        if not text or text[0] == "#":
            return None
        target = self._target(text)
        host = (target.authority or "").rpartition("@")[2]
        if target.scheme not in {"http", "https"} or not host or host[0] == ":":
            return None
        return f"{target.scheme}://{target.authority}{target.path}{'' if target.query is None else f'?{target.query}'}"

    def _as_browsers_read(self, reference: str) -> str:
        text = _BREAKS.sub("", reference.strip(_AROUND))
        web = _WEB.match(text)
        if web is None:
            return _SLASHES.sub("//", text, count=1) if _SLASHES.match(text) else text
        rest = text[web.end() :]
        return rest if not web[2] and web[1].lower() == self._base.scheme else f"{web[1]}://{rest}"

    def _target(self, reference: str) -> _Parts:
        base = self._base
        scheme, authority, path, query, fragment = _split(reference)
        if scheme is not None:
            return _Parts(scheme, authority, _without_dots(path), query, fragment)
        if authority is not None:
            return _Parts(base.scheme, authority, _without_dots(path), query, fragment)
        if not path:
            return _Parts(base.scheme, base.authority, base.path, base.query if query is None else query, fragment)
        path = _without_dots(path if path[0] == "/" else self._merged(path))
        return _Parts(base.scheme, base.authority, path, query, fragment)

    def _merged(self, path: str) -> str:
        if self._base.authority is not None and not self._base.path:
            return f"/{path}"
        return self._base.path[: self._base.path.rfind("/") + 1] + path


def resolve(base: str, reference: str) -> str:
    """What `reference` means in a document from `base`."""
    return Resolver(base).resolve(reference)


def _clean(text: str) -> str:
    return _NOT_OF_URLS.sub(_percent, _BREAKS.sub("", text.strip(_AROUND)))


def _percent(match: re.Match[str]) -> str:
    return quote(match[0], safe="")


def _split(url: str) -> _Parts:
    match = _PARTS.fullmatch(url)
    if match is None:  # cannot be: every cleaned text fits
        raise ValueError(f"Not a URL: {url!r}")
    scheme, authority, path, query, fragment = match.groups()
    if authority and "%" in authority:
        user, at, host = authority.rpartition("@")
        authority = f"{user}{at}{_NOT_ASCII.sub(_decoded, host)}"
    return _Parts(scheme and scheme.lower(), authority, path, query, fragment)


def _decoded(match: re.Match[str]) -> str:
    try:
        return unquote(match[0], errors="strict")
    except UnicodeDecodeError:
        return match[0]


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4, in linear time. A path without a slash in front is left as it is."""
    if not path.startswith("/") or not _MAYBE_DOTS.search(path):
        return path
    kept: list[str] = []
    segment = ""
    for segment in path.split("/")[1:]:
        name = segment.lower()
        if name in _DOUBLE_DOT:
            del kept[-1:]
        elif name not in _DOT:
            kept.append(segment)
    if segment.lower() in _DOT | _DOUBLE_DOT:
        kept.append("")
    return "/" + "/".join(kept)
