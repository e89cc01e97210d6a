"""Reads a page with yt-dlp's generic extractors, in a process that can do nothing else.

`child.ask` starts it. Its network is the guard proxy alone; it starts no programs and writes no files, which an audit
hook (PEP 578) and resource limits see to: they are a second fence, for a library whose every part nobody here has read.
What yt-dlp doesn't look at (links to files, frames, redirects) is followed here. No extractor of a particular site is
loaded, and none that undoes a player's disguise of its addresses.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from yt_dlp import YoutubeDL
from yt_dlp.networking import HEADRequest
from yt_dlp.utils import YoutubeDLError, smuggle_url

from queue_app.downloaders import child
from queue_app.downloaders.generic_extractor import GenericIE, HTML5MediaEmbedIE, options
from queue_app.downloaders.page_choice import (
    DASH_ONLY,
    DRM,
    SEPARATE,
    Option,
    height_in_name,
    offer,
    pick,
    weight,
)
from queue_app.downloaders.page_links import Links, read_links, suffix

_PLAYLIST_BYTES = 5 * 1024 * 1024
_VIDEOS = 8
_DEPTH = 2
_SUBTITLES = 40
_FORBIDDEN_EVENTS = (
    "subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork", "pty.spawn", "socket.send", "socket.bind",
)  # fmt: skip
_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_EXTINF = re.compile(r"^#EXTINF:\s*([\d.]+)", re.MULTILINE)  # RFC 8216 §4.3.2.1
_NUMBERED = re.compile(r" \(\d+\)$")


@dataclass
class _Video:
    """One video that could be meant."""

    option: Option
    page: str
    title: str = ""
    duration: float | None = None
    thumbnail: str = ""
    subtitles: list[dict[str, str]] = field(default_factory=list)


class _Search:
    """One page and what it embeds."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._resolution: str | None = request["resolution"]
        self._ydl = YoutubeDL(options(request, _VIDEOS), auto_init=False)
        self._generic = GenericIE(self._ydl)
        self._ydl.add_info_extractor(HTML5MediaEmbedIE(self._ydl))
        self._ydl.add_info_extractor(self._generic)
        self._seen: set[str] = set()
        self._reasons: set[str] = set()
        self._title = self._image = ""

    def run(self, url: str) -> dict[str, Any]:
        """What `page.resolve` wants to know."""
        videos = self._visit(url, referer="", depth=0)
        if videos:
            return self._found(self._heaviest(videos))
        for reason in (DRM, DASH_ONLY, SEPARATE):
            if reason in self._reasons:
                return {"failure": "bad_source", "reason": reason}
        return {"failure": "nothing", "status": self._generic.statuses.get(url)}

    def _visit(self, url: str, referer: str, depth: int) -> list[_Video]:
        if url in self._seen:
            return []
        self._seen.add(url)
        before = len(self._generic.pages)
        videos, frames = self._ask_yt_dlp(url, referer)
        pages = self._generic.pages[before:]
        for page_url, html in pages:
            links = read_links(html, page_url)
            self._title, self._image = self._title or links.title, self._image or links.image
            videos = videos or self._linked(links, page_url)
            frames += links.frames
        here = pages[-1][0] if pages else url
        for frame in frames if depth < _DEPTH else []:
            videos = videos or self._visit(frame, here, depth + 1)
        return videos

    def _ask_yt_dlp(self, url: str, referer: str) -> tuple[list[_Video], list[str]]:
        """The videos that yt-dlp finds, and players of their own that it took for videos."""
        smuggled = smuggle_url(url, {"to_generic": True, **({"referer": referer} if referer else {})})
        try:
            info = self._ydl.extract_info(smuggled, download=False, ie_key="Generic")
        except (YoutubeDLError, RecursionError):
            return [], []
        videos: list[_Video] = []
        pages: list[str] = []
        # After redirects, those in HTML included.
        here = self._generic.pages[-1][0] if self._generic.pages else url
        for entry in _entries(info or {}):
            found = offer(entry.get("formats") or [entry])
            self._reasons |= found.reasons | ({DRM} if entry.get("_has_drm") else set())
            pages += found.pages
            if found.options:
                videos.append(_video(entry, pick(found.options, self._resolution), here))
        return videos[:_VIDEOS], pages

    def _linked(self, links: Links, page: str) -> list[_Video]:
        """What `<a href>` leads to: the versions of one video if all names tell a height, else several videos."""
        options = [Option(url, height_in_name(url), suffix(url) == ".m3u8") for url in links.media]
        if options and all(option.height for option in options):
            options = [pick(options, self._resolution)]
        return [_Video(option, page) for option in options[:_VIDEOS]]

    def _heaviest(self, videos: list[_Video]) -> _Video:
        """The film among previews and advertisements, as well as their sizes tell."""
        return videos[0] if len(videos) == 1 else max(videos, key=self._weight)

    def _weight(self, video: _Video) -> float:
        seconds, size = video.duration, None
        try:
            if video.option.playlist and not seconds:
                text = self._ydl.urlopen(video.option.url).read(_PLAYLIST_BYTES).decode("utf-8", "replace")
                # Of a master playlist nothing more is known than that it is one.
                seconds = sum(float(value) for value in _EXTINF.findall(text)) or 60.0
            elif not seconds:
                answer = self._ydl.urlopen(HEADRequest(video.option.url, headers={"Referer": video.page}))
                size = int(answer.headers.get("Content-Length") or 0)
        except (YoutubeDLError, ValueError):
            return 0.0
        return weight(size, seconds)

    def _found(self, video: _Video) -> dict[str, Any]:
        return {
            "url": video.option.url,
            "referer": video.page,
            "cookie": self._ydl.cookiejar.get_cookie_header(video.option.url) or "",
            "user_agent": self._ydl.params["http_headers"]["User-Agent"],
            "title": video.title or self._title,
            "duration": video.duration,
            "thumbnail": urljoin(video.page, video.thumbnail or self._image) if video.thumbnail or self._image else "",
            "subtitles": video.subtitles[:_SUBTITLES],
        }


def _entries(info: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The videos of a result, which may be a playlist of playlists."""
    if "entries" not in info:
        yield info
        return
    for entry in info["entries"] or []:
        yield from _entries(entry or {})


def _video(entry: dict[str, Any], option: Option, page: str) -> _Video:
    duration = entry.get("duration")
    name = _NUMBERED.sub("", str(entry.get("title") or ""))
    return _Video(
        option,
        page,
        # A page's own title is read by us; yt-dlp makes one up where there is none.
        title="" if entry.get("extractor_key") == "HTML5MediaEmbed" or name == "video" else name,
        duration=float(duration) if isinstance(duration, int | float) and duration > 0 else None,
        thumbnail=str(entry.get("thumbnail") or ""),
        subtitles=list(_subtitles(entry.get("subtitles") or {})),
    )


def _subtitles(found: dict[str, Any]) -> Iterator[dict[str, str]]:
    for language, versions in found.items():
        for version in versions:
            url, protocol = str(version.get("url") or ""), str(version.get("protocol") or "http")
            if url.startswith(("http://", "https://")) and not protocol.startswith("m3u8"):
                yield {"url": url, "language": str(language), "name": str(version.get("name") or "")}


def fence(proxy_port: int, memory: int) -> None:
    """From here on: no other programs, no written files, no network but the guard proxy, so many bytes of memory."""
    proxy = ("127.0.0.1", proxy_port)

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect" and tuple(args[1][:2]) != proxy:
            raise PermissionError("Only the guard proxy may be connected to.")
        if event in _LOOKUPS and args[0] != proxy[0]:
            raise PermissionError("Names are looked up by the guard proxy.")
        if event.startswith(_FORBIDDEN_EVENTS):
            raise PermissionError("Neither programs nor datagrams leave this process.")

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(refuse)


def main() -> None:
    """Answer one request."""
    request = child.begin()
    fence(int(request["proxy_port"]), int(request["memory"]))
    try:
        reply = _Search(request).run(request["url"])
    except MemoryError:
        reply = {"failure": "nothing", "status": None}
    child.answer(reply)


if __name__ == "__main__":
    main()
