"""What a page's HTML says outright: its title and picture, what it embeds, and links to media files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import PurePosixPath
from urllib.parse import urljoin, urlsplit

MEDIA_SUFFIXES = {".mp4", ".m4v", ".mkv", ".webm", ".mov", ".ts", ".m3u8"}
_PAGE_SUFFIXES = {".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp", ".cgi"}
_LINKS = 50
_FRAMES = 8
_REFRESH = re.compile(r"\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?['\"]?([^'\"]+)", re.IGNORECASE)  # HTML, shared refresh steps
_FRAME_ATTRIBUTES = {"iframe": "src", "frame": "src", "embed": "src", "object": "data"}


@dataclass
class Links:
    """Absolute http(s) URLs, each once, in the page's order."""

    title: str = ""
    image: str = ""
    media: list[str] = field(default_factory=list)
    """Of `<a href>`, with a video's suffix."""
    frames: list[str] = field(default_factory=list)
    """Of iframes, embedded objects and an immediate redirect."""


def suffix(url: str) -> str:
    """The suffix of a URL's path, in lower case with its dot; "" when there is none."""
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:
        return ""


def looks_like_page(url: str) -> bool:
    """Does the suffix say that this is an HTML page rather than media?"""
    return suffix(url) in _PAGE_SUFFIXES


def read_links(html: str, url: str) -> Links:
    """The links of a page whose URL is `url`."""
    reader = _Reader(url)
    reader.feed(html)
    reader.close()
    links = reader.links
    links.title = " ".join((reader.og_title or reader.title).split())[:500]
    return links


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links = Links()
        self.title = self.og_title = ""
        self._base = self._url = url
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "base" and found.get("href"):
            self._base = urljoin(self._url, found["href"])
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "meta":
            self._meta(found)
        elif tag == "a" and suffix(found.get("href", "")) in MEDIA_SUFFIXES:
            self._add(self.links.media, found["href"], _LINKS)
        elif tag in _FRAME_ATTRIBUTES:
            self._add(self.links.frames, found.get(_FRAME_ATTRIBUTES[tag], ""), _FRAMES)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def _meta(self, found: dict[str, str]) -> None:
        name, content = (found.get("property") or found.get("name") or "").lower(), found.get("content", "")
        refresh = _REFRESH.match(content) if found.get("http-equiv", "").lower() == "refresh" else None
        if name == "og:title":
            self.og_title = self.og_title or content
        elif name == "og:image" and content:
            self.links.image = self.links.image or urljoin(self._base, content)
        elif refresh:
            self._add(self.links.frames, refresh[1], _FRAMES)

    def _add(self, kept: list[str], href: str, most: int) -> None:
        try:
            url = urljoin(self._base, href.strip())
        except ValueError:
            return
        if href.strip() and url.startswith(("http://", "https://")) and url not in kept and len(kept) < most:
            kept.append(url)
