"""From a web page to the video on it: read by yt-dlp's generic extractors, then watched in a browser if there is one.

Both run in processes of their own behind the guard proxy. Neither logs in, solves riddles or hides what it is, and no
site gets a scraper of its own: a page that doesn't show its video to such a visitor has none for us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from archive_site.guard_proxy import GuardProxy
from archive_site.safe_http import Policy, display_url
from queue_app.downloaders import browser as browsers
from queue_app.downloaders import child
from queue_app.downloaders.answer import status_failure
from queue_app.downloaders.base import ProgressSink
from queue_app.downloaders.page_choice import DRM
from queue_app.failures import BadSource, Failure, Transient

USER_AGENT = "Mozilla/5.0 (compatible; Reelkeep)"
_MIB = 1024 * 1024
_READER_MEMORY = 1024 * _MIB
_LONGEST = 1e7  # seconds; a page that says more, or infinity, doesn't know
_READING, _WATCHING = "reading it", "watching it in a browser"


@dataclass(frozen=True)
class FoundSubtitles:
    """Where subtitles of the video are, in whatever format."""

    url: str
    language: str | None
    name: str = ""


@dataclass(frozen=True)
class Found:
    """The video of a page: a media file or an HLS playlist."""

    page_url: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    """What the page's own player would send for it."""
    title: str = ""
    duration: float | None = None
    """Seconds."""
    thumbnail_url: str = ""
    subtitles: tuple[FoundSubtitles, ...] = ()
    watched: bool = False
    """Was it found in a browser?"""


def resolve(
    url: str,
    *,
    policy: Policy,
    resolution: str | None,
    progress: ProgressSink,
    seconds: float,
    browser: str = "",
    refused: str = "",
    watch: bool = True,
) -> Found:
    """The video on the page at `url`.

    Reading the page may take `seconds`, and watching it as long again. `browser` is the path of a Chromium, "" for the
    one on PATH; without `watch` none is started. `refused` says why what reading it gave was no good: it is only
    watched then. Raises Gone and Forbidden for what the page's server says, BadSource when the video can't be kept
    (DRM, DASH), Transient when no video was found, and what `progress` raises.
    """
    where = display_url(url)
    tried = [f"{_READING}: {refused}"] if refused else []
    verdict: Failure | None = None
    with GuardProxy(policy) as guard:
        looks = _looks(url, guard, resolution, progress, seconds, browsers.find(browser) if watch else None)
        for name, look in looks[len(tried) :]:
            try:
                reply = look()
            except child.ChildFailed as failed:
                tried.append(f"{name}: {failed}")
                continue
            if reply.get("url"):
                return _found(url, reply, watched=name == _WATCHING)
            if reply.get("reason") == DRM:
                raise BadSource(f"{where}: {DRM}")
            # A browser may see more, and is another visitor to the server: this counts if it finds nothing either.
            verdict = verdict or _verdict(reply, url)
            tried.append(f"{name}: no video")
        reasons = [*tried, *_obstacles(guard, missing=watch and not browsers.find(browser))]
    raise verdict or Transient(f"{where} is a page on which no video was found ({'; '.join(reasons)}).")


def _looks(
    url: str, guard: GuardProxy, resolution: str | None, progress: ProgressSink, seconds: float, program: str | None
) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """The ways to look at a page, the cheapest first."""
    looks: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        (_READING, lambda: _read(url, guard, resolution, progress, seconds))
    ]
    if program:
        looks.append((_WATCHING, lambda: browsers.watch(url, guard, program, progress, seconds)))
    return looks


def _read(
    url: str, guard: GuardProxy, resolution: str | None, progress: ProgressSink, seconds: float
) -> dict[str, Any]:
    request = {
        "url": url,
        "resolution": resolution,
        "proxy": guard.url,
        "proxy_port": guard.port,
        "timeout": guard.policy.read_timeout,
        "memory": _READER_MEMORY,
        "user_agent": USER_AGENT,
    }
    return child.ask(
        "queue_app.downloaders.page_child",
        request,
        seconds=seconds,
        memory=_READER_MEMORY,
        progress=progress,
        environment={"YTDLP_NO_PLUGINS": "1", "HOME": "/nonexistent"},
    )


def _obstacles(guard: GuardProxy, *, missing: bool) -> list[str]:
    """What else an operator should know of a page that gave nothing."""
    obstacles = []
    if missing:
        obstacles.append(browsers.MISSING)
    if guard.exhausted:
        obstacles.append("it moved more data than a page may")
    if guard.refusals:
        obstacles.append(f"it leads to what may not be fetched. {guard.refusals[0].rstrip('.')}")
    return obstacles


def _verdict(reply: dict[str, Any], url: str) -> Failure | None:
    """Why there is no video, where that is said: by what the page offers, or by its server's status."""
    if reply.get("failure") == "bad_source":
        return BadSource(f"{display_url(url)}: {reply.get('reason')}")
    status = reply.get("status")
    return status_failure(status, url) if isinstance(status, int) and 400 <= status < 500 else None


def _found(page_url: str, reply: dict[str, Any], *, watched: bool) -> Found:
    url = str(reply["url"])
    headers = {
        "Referer": referer(str(reply.get("referer") or page_url), url),
        "User-Agent": str(reply.get("user_agent") or ""),
        "Cookie": str(reply.get("cookie") or ""),
    }
    return Found(
        page_url,
        url,
        headers={name: value for name, value in headers.items() if value and value.isprintable()},
        title=_one_line(reply.get("title")),
        duration=_seconds(reply.get("duration")),
        thumbnail_url=str(reply.get("thumbnail") or ""),
        subtitles=tuple(_subtitles(reply.get("subtitles"))),
        watched=watched,
    )


def _seconds(duration: object) -> float | None:
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        return None
    return float(duration) if 0 < duration < _LONGEST else None


def _subtitles(listed: object) -> list[FoundSubtitles]:
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [
        FoundSubtitles(str(entry.get("url")), _one_line(entry.get("language")) or None, _one_line(entry.get("name")))
        for entry in entries
    ]


def _one_line(text: object) -> str:
    line = " ".join(str(text or "").split())
    return "".join(c for c in line if c.isprintable())[:500]


def referer(page_url: str, url: str) -> str:
    """What a browser says of `page_url` when it fetches `url`: all to the same origin, else the origin alone.

    "" from https to http. (W3C Referrer Policy, strict-origin-when-cross-origin, the browsers' default.)
    """
    page, target = urlsplit(page_url), urlsplit(url)
    if page.scheme not in {"http", "https"} or (page.scheme == "https" and target.scheme == "http"):
        return ""
    host = page.netloc.rpartition("@")[2]
    if (page.scheme, host) == (target.scheme, target.netloc):
        return page._replace(netloc=host, fragment="").geturl()
    return f"{page.scheme}://{host}/"
