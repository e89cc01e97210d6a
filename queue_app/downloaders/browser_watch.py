"""Watching one page in a browser: what media it fetches, what its <video> elements say, a click on play."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import BrowserContext, Error, Frame, Page, Request, Response

from queue_app.downloaders.browser_choice import Media, choose, kind_of, total_size
from queue_app.downloaders.page_choice import DASH_ONLY, DRM

# Encrypted Media Extensions (W3C), asked for by scripts and announced by the data.
NOTICE_DRM = """(() => {
  const ask = navigator.requestMediaKeySystemAccess;
  if (ask) navigator.requestMediaKeySystemAccess = function (...given) {
    return ask.apply(this, given).then(access => { window.__reelkeepDrm = true; return access; });
  };
  document.addEventListener('encrypted', () => { window.__reelkeepDrm = true; }, true);
})()"""
_MOST_SEEN = 500
_PLAYLIST_CHARACTERS = 8 * 1024 * 1024
_LOAD_SECONDS = 15.0
_WATCH_SECONDS = 20.0
_SETTLE_SECONDS = 2.0
_CLICK_SECONDS = (1.5, 4.0, 8.0)
"""When a play button is looked for, if nothing came by then."""
_PLAY = [
    "video",
    ".vjs-big-play-button",
    ".jw-icon-display",
    ".plyr__control--overlaid",
    "button[aria-label*='play' i]",
    "[role=button][aria-label*='play' i]",
    "button[class*='play' i]",
    "[class*='play-button' i], [class*='playbutton' i], [id*='play' i]",
    "button:has-text('Play')",
]
_LOOK = """() => ({
  drm: Boolean(window.__reelkeepDrm),
  videos: [...document.querySelectorAll('video')].slice(0, 20).map(video => ({
    url: video.currentSrc || '', poster: video.poster || '',
    duration: Number.isFinite(video.duration) ? video.duration : 0,
    tracks: [...video.querySelectorAll('track')].filter(t => ['subtitles', 'captions'].includes(t.kind)).slice(0, 40)
      .map(t => ({url: t.src, language: t.srclang, name: t.label})),
  })),
})"""
_DESCRIBE = """() => {
  const meta = name => (document.querySelector(`meta[property="${name}"]`) || {}).content || '';
  return {title: meta('og:title') || document.title, agent: navigator.userAgent,
          image: meta('og:image') && new URL(meta('og:image'), document.baseURI).href};
}"""


class Watch:
    """One page, from its opening on."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self._page = context.new_page()
        self._seen: dict[str, Media] = {}
        self._responses: dict[str, Response] = {}
        self._requests: dict[str, Request] = {}
        self._finished: set[str] = set()
        self._videos: dict[str, dict[str, Any]] = {}
        self._drm = False
        self._status: int | None = None
        self._last_new = self._end = 0.0
        self._clicks = list(_CLICK_SECONDS)
        context.on("response", self._answered)
        context.on("requestfinished", lambda request: self._finished.add(request.url))
        context.on("page", self._popped_up)

    def run(self, url: str, until: float) -> dict[str, Any]:
        """What `page.resolve` wants to know, by `until` (of `time.monotonic`); sooner when media came."""
        self._open(url, min(_LOAD_SECONDS, (until - time.monotonic()) / 2))
        if self._status and self._status >= 400:
            # A video on an error page is not the one that was there.
            return {"failure": "nothing", "status": self._status}
        loaded = time.monotonic()
        self._end = min(until, loaded + _WATCH_SECONDS)
        while time.monotonic() < self._end and not self._settled():
            self._page.wait_for_timeout(250)
            self._read_playlists()
            self._look()
            self._perhaps_click(time.monotonic() - loaded)
        return self._reply()

    def _open(self, url: str, seconds: float) -> None:
        try:
            # Zero would mean no time-out.
            answer = self._page.goto(url, wait_until="domcontentloaded", timeout=max(1.0, seconds) * 1000)
        except Error:
            return  # too slow, or no page: what came by then is looked at all the same
        self._status = answer.status if answer else None

    def _answered(self, response: Response) -> None:
        url, request = response.url, response.request
        kind = kind_of(url, response.headers.get("content-type", ""), request.resource_type)
        if kind is None or response.status not in {200, 206} or not url.startswith(("http://", "https://")):
            return
        if url not in self._seen and len(self._seen) < _MOST_SEEN:
            self._seen[url] = Media(url, kind, total_size(response.headers))
            self._responses[url] = response
            self._requests[url] = request
            if kind != "piece":
                self._last_new = time.monotonic()

    def _popped_up(self, page: Page) -> None:
        if page != self._page:
            page.close()

    def _read_playlists(self) -> None:
        for url, media in self._seen.items():
            if media.kind == "playlist" and url in self._finished and url in self._responses:
                try:
                    media.text = self._responses.pop(url).text()[:_PLAYLIST_CHARACTERS]
                except (Error, UnicodeDecodeError):
                    continue  # the browser has forgotten it: it counts as a playlist of unknown length

    def _look(self) -> None:
        """What the page's <video> elements say now."""
        for frame in self._page.frames:
            try:
                found = frame.evaluate(_LOOK)
            except Error:
                continue  # the frame is on its way to another document
            self._drm = self._drm or bool(found["drm"])
            for video in found["videos"]:
                self._videos[video["url"]] = {**video, "page": frame.url}

    def _settled(self) -> bool:
        kinds = {media.kind for media in self._seen.values()}
        return bool(kinds & {"playlist", "file"}) and time.monotonic() > self._last_new + _SETTLE_SECONDS

    def _perhaps_click(self, passed: float) -> None:
        if self._clicks and passed > self._clicks[0] and not self._seen:
            self._clicks.pop(0)
            for frame in self._page.frames:
                self._click_in(frame)

    def _click_in(self, frame: Frame) -> None:
        for selector in _PLAY:
            if self._seen or time.monotonic() > self._end:
                return
            try:
                button = frame.locator(selector).first
                if button.is_visible():
                    button.click(timeout=700, no_wait_after=True)
                    self._page.wait_for_timeout(300)
            except Error:
                continue  # covered or gone

    def _reply(self) -> dict[str, Any]:
        media = choose(list(self._seen.values()), {url: video["duration"] for url, video in self._videos.items()})
        if media is None:
            return self._nothing()
        video = self._videos.get(media.url) or self._longest()
        told = self._told()
        return {
            "url": media.url,
            "referer": self._referer(media.url, video),
            "user_agent": told["agent"],
            "cookie": "; ".join(f"{c['name']}={c['value']}" for c in self._context.cookies(media.url)),
            "title": told["title"],
            "duration": video.get("duration"),
            "thumbnail": told["image"] or video.get("poster", ""),
            "subtitles": [track for track in video.get("tracks", []) if track["url"].startswith("http")],
        }

    def _nothing(self) -> dict[str, Any]:
        if self._drm:
            return {"failure": "bad_source", "reason": DRM}
        if any(media.kind == "dash" for media in self._seen.values()):
            return {"failure": "bad_source", "reason": DASH_ONLY}
        return {"failure": "nothing", "status": self._status}

    def _longest(self) -> dict[str, Any]:
        """A <video> that a script feeds (its URL is a blob: one) is not to be told from others but by its length.

        Those of which the file was seen are others.
        """
        fed = [video for url, video in self._videos.items() if url not in self._seen]
        return max(fed, key=lambda video: float(video["duration"]), default={})

    def _referer(self, url: str, video: dict[str, Any]) -> str:
        try:
            sent = self._requests[url].all_headers().get("referer", "") if url in self._requests else ""
        except Error:
            sent = ""
        return sent or str(video.get("page") or self._page.url)

    def _told(self) -> dict[str, str]:
        """What the page says of itself."""
        try:
            told: dict[str, str] = self._page.evaluate(_DESCRIBE)
        except Error:
            return {"title": "", "agent": "", "image": ""}
        return told
