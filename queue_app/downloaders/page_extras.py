"""The picture and the subtitles that a page names, fetched beside the video. That none come never fails the video."""

from __future__ import annotations

import html
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from pathlib import Path

from archive_site.safe_http import Fetcher, FetchError, display_url
from queue_app.downloaders.answer import Answer
from queue_app.downloaders.base import Page, Source, Subtitles
from queue_app.downloaders.page import Found
from queue_app.failures import Failure

log = logging.getLogger(__name__)

_MIB = 1024 * 1024
_THUMBNAIL_BYTES = 5 * _MIB
_SUBTITLES_BYTES = 2 * _MIB
_SUBTITLES = 20
_SECONDS = 60.0
"""For all of them together."""
_CHECK_SECONDS = 0.1
_SRT_TIMING = re.compile(
    r"\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[,.](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[,.](\d{1,3})"
)
_SRT_TAG = re.compile(r"&lt;(/?[biu])&gt;", re.IGNORECASE)


class _Unusable(Exception):
    """What was fetched isn't what the page said."""


class Extras:
    """Fetches what a found page names, for as long as there is time."""

    def __init__(self, fetcher: Fetcher, found: Found, folder: Path, check: Callable[[], None]) -> None:
        """`check` is called ten times a second meanwhile and may raise to stop."""
        self._fetcher, self._found, self._folder, self._check = fetcher, found, folder, check
        self._source = Source(found.url, headers=found.headers)
        self._end = time.monotonic() + _SECONDS

    def page(self) -> Page:
        """What the page says, its picture as page.thumbnail.<jpg, png or webp>."""
        found, thumbnail = self._found, None
        if found.thumbnail_url:
            image = self._try(found.thumbnail_url, _THUMBNAIL_BYTES)
            suffix = image_suffix(image or b"")
            if image and suffix:
                thumbnail = self._folder / f"page.thumbnail{suffix}"
                thumbnail.write_bytes(image)
        return Page(found.page_url, found.title, found.duration, thumbnail)

    def subtitles(self) -> tuple[Subtitles, ...]:
        """Those that are WebVTT or can be made so, as page.subtitles.<number>.vtt."""
        kept: list[Subtitles] = []
        for one in self._found.subtitles[:_SUBTITLES]:
            body = self._try(one.url, _SUBTITLES_BYTES)
            text = as_webvtt(body) if body else None
            if text is None:
                continue
            path = self._folder / f"page.subtitles.{len(kept) + 1}.vtt"
            path.write_text(text, encoding="utf-8")
            kept.append(Subtitles(path, one.language, one.name))
        return tuple(kept)

    def _try(self, url: str, most: int) -> bytes | None:
        try:
            return self._get(url, most)
        except (FetchError, Failure, _Unusable) as error:
            log.info("%s is left out: %s", display_url(url), error)
            return None

    def _get(self, url: str, most: int) -> bytes:
        """In a thread of its own, for a silent source must not keep `check` waiting."""
        fetch = _Fetch(self._fetcher, url, self._source.headers_for(url), most)
        threading.Thread(target=fetch.run, name="page-extra", daemon=True).start()
        try:
            while not wait([fetch.body], _CHECK_SECONDS).done:
                self._check()
                if time.monotonic() > self._end:
                    raise _Unusable("it is too slow.")
            self._check()
            return fetch.body.result()
        finally:
            fetch.stop()


class _Fetch:
    """One small document, fetched in the background."""

    def __init__(self, fetcher: Fetcher, url: str, headers: Mapping[str, str], most: int) -> None:
        self.body: Future[bytes] = Future()
        self._fetcher, self._url, self._headers, self._most = fetcher, url, headers, most
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._stopped = False

    def run(self) -> None:
        """Fetch it; `body` has the bytes or the error then."""
        try:
            with Answer.open(self._fetcher, self._url, headers=self._headers, decode=True) as answer:
                self.body.set_result(self._read(answer))
        except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
            self.body.set_exception(error)

    def stop(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self._stopped = True
            if self._answer:
                self._answer.stop()

    def _read(self, answer: Answer) -> bytes:
        with self._lock:
            if self._stopped:
                return b""
            self._answer = answer
        body = b""
        try:
            for piece in answer.pieces():
                body += piece
                if len(body) > self._most:
                    raise _Unusable("it is too large.")
        finally:
            with self._lock:
                self._answer = None
        return body


def image_suffix(image: bytes) -> str | None:
    """'.jpg', '.png', '.webp', or None, by the first bytes."""
    if image.startswith(b"\xff\xd8\xff"):  # ISO/IEC 10918-1 Annex B
        return ".jpg"
    if image.startswith(b"\x89PNG\r\n\x1a\n"):  # ISO/IEC 15948 §5.2
        return ".png"
    if image.startswith(b"RIFF") and image[8:12] == b"WEBP":  # RFC 9649 §2.4
        return ".webp"
    return None


def as_webvtt(body: bytes) -> str | None:
    """WebVTT (W3C) as it is, SubRip converted; None for anything else. Other encodings than UTF-8 are read as Latin."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("cp1252", "replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").split("\n")
    if re.match(r"WEBVTT(?:[ \t]|$)", lines[0]):
        return "\n".join(lines).rstrip("\n") + "\n"
    cues = list(_srt_cues(lines))
    return "WEBVTT\n\n" + "\n".join(cues) if cues else None


def _srt_cues(lines: list[str]) -> Iterator[str]:
    """Each cue of a SubRip file, as WebVTT; what precedes the first timing is not one."""
    cue: list[str] = []
    for line in [*lines, ""]:
        timing = _SRT_TIMING.match(line)
        if timing:
            # The line before it numbers the cue and belongs to nothing, when no blank line sets it apart.
            cue = [f"{_time(*timing.groups()[:4])} --> {_time(*timing.groups()[4:])}"]
        elif line.strip() and cue:
            cue.append(_cue_text(line))
        elif cue:
            if len(cue) > 1:
                yield "\n".join([*cue, ""])
            cue = []


def _time(hours: str | None, minutes: str, seconds: str, fraction: str) -> str:
    return f"{int(hours or 0):02}:{int(minutes):02}:{int(seconds):02}.{fraction.ljust(3, '0')}"


def _cue_text(line: str) -> str:
    """SubRip has no escapes, WebVTT needs them; bold, italic and underlined text stays so."""
    escaped = html.escape(re.sub(r"</?font[^>]*>", "", line, flags=re.IGNORECASE), quote=False)
    return _SRT_TAG.sub(lambda tag: f"<{tag[1].lower()}>", escaped)
