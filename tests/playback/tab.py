"""A page in real Chromium that plays one URL. It comes from an origin of its own, so what it plays needs CORS."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from playwright.sync_api import Page, Playwright, sync_playwright

T = TypeVar("T")

_FLAGS = shlex.split(
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
)
_TYPES = {".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript"}
_FOLDERS = {"/hls.js/": settings.BASE_DIR / "static" / "vendor", "/": Path(__file__).parent / "page"}
_SECONDS = 60.0
_DECODED = "video.getVideoPlaybackQuality().totalVideoFrames"


class PageServer:
    """`with PageServer() as pages:` serves the page of this folder and the hls.js that is bundled."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
        self._server.daemon_threads = True

    def playing(self, source: str, *, native: bool = False) -> str:
        """The URL of the page that plays `source`; `native` keeps hls.js out of it."""
        port = self._server.server_address[1]
        query = urlencode({"src": source, **({"native": "1"} if native else {})})
        return f"http://127.0.0.1:{port}/player.html?{query}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        folder = next(folder for prefix, folder in _FOLDERS.items() if path.startswith(prefix))
        file = (folder / path.lstrip("/")).resolve()
        found = file.is_relative_to(folder) and file.is_file()
        content = file.read_bytes() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", _TYPES.get(file.suffix, "text/plain"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Keep the tests' output quiet."""


class Tab:
    """`with Tab(program, pages) as tab:` – everything of Playwright happens in a thread of its own (Django's ORM
    refuses to work in a thread that runs an event loop).
    """

    def __init__(self, program: str, pages: PageServer) -> None:
        self._program, self._pages = program, pages
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tab")
        self._playwright: Playwright | None = None
        self._page: Page | None = None
        self.requests: list[str] = []
        """Every URL that the page has asked for."""

    def play(self, source: str, *, native: bool = False) -> None:
        """Load the page for this URL, and wait until its video really runs: time advances, pictures are decoded."""
        self.open(source, native=native)
        self.until(f"video.currentTime > 0.4 && {_DECODED} > 5")
        self.assert_no_errors()

    def play_the_end(self, before: float = 1.0) -> None:
        """Seek to `before` seconds of the end, from where the picture moves on until it is over."""
        decoded = self.ask(_DECODED)
        self.ask(f"void (video.currentTime = video.duration - {before})")
        self.until(f"seen.ended && {_DECODED} > {decoded}")
        self.assert_no_errors()

    def open(self, source: str, *, native: bool = False) -> None:
        """Load the page for this URL."""
        self._do(lambda page: page.goto(self._pages.playing(source, native=native)))

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self._do(lambda page: page.evaluate(expression))

    def until(self, expression: str, seconds: float = _SECONDS) -> None:
        """Wait until it is true; fails with what the page has seen after so many seconds, or at its first error."""
        deadline = time.monotonic() + seconds
        while not self.ask(f"Boolean(window.video && ({expression}))"):
            state = self.ask("window.seen && {...seen, time: video.currentTime, ready: video.readyState}")
            assert time.monotonic() < deadline, f"not in time: {expression}: {state}"
            assert not (state and state["errors"]), state
            time.sleep(0.05)

    def assert_no_errors(self) -> None:
        """Neither the video nor hls.js has complained."""
        assert self.ask("seen.errors") == []

    def hosts(self) -> set[str]:
        """From where the page has taken everything but itself: host and port."""
        own = urlsplit(self._pages.playing("")).netloc
        return {urlsplit(url).netloc for url in self.requests if url.startswith("http")} - {own}

    def _do(self, work: Callable[[Page], T]) -> T:
        def in_page() -> T:
            assert self._page is not None
            return work(self._page)

        return self._thread.submit(in_page).result(_SECONDS)

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        browser = self._playwright.chromium.launch(executable_path=self._program, args=_FLAGS)
        self._page = browser.new_page()
        self._page.on("request", lambda request: self.requests.append(request.url))

    def _stop(self) -> None:
        if self._page is not None and (browser := self._page.context.browser):
            browser.close()
        if self._playwright is not None:
            self._playwright.stop()

    def __enter__(self) -> Self:
        self._thread.submit(self._start).result(_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._thread.submit(self._stop).result(_SECONDS)
        self._thread.shutdown()
