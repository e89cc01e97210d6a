"""yt-dlp's generic extractor, kept within bounds: pages of bounded number and size, nothing undone, nothing logged."""

from __future__ import annotations

from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.extractor import generic, genericembeds
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import ExtractorError

from queue_app.downloaders.page_links import suffix

_PAGE_BYTES = 5 * 1024 * 1024
_PLAYLIST_BYTES = 512 * 1024  # enough to tell its kind; yt-dlp reads 1 MiB a second
_REQUESTS = 60
_VARIANTS = 100


class _Bounded(InfoExtractor):  # type: ignore[misc] # yt-dlp has no types
    """Fetches a bounded number of pages and playlists of bounded size, which are kept for a look of ours."""

    def __init__(self, downloader: YoutubeDL | None = None) -> None:
        super().__init__(downloader)
        self.pages: list[tuple[str, str]] = []
        self.statuses: dict[str, int] = {}
        self._requests = 0

    def _request_webpage(self, url_or_request: Any, *args: Any, **kwargs: Any) -> Any:
        self._requests += 1
        if self._requests > _REQUESTS:
            raise ExtractorError("The page leads to ever more pages.", expected=True)
        try:
            return super()._request_webpage(url_or_request, *args, **kwargs)
        except ExtractorError as error:
            if isinstance(error.cause, HTTPError):
                self.statuses[str(getattr(url_or_request, "url", url_or_request))] = error.cause.status
            raise

    def _webpage_read_content(self, urlh: Any, *args: Any, **kwargs: Any) -> Any:
        content = super()._webpage_read_content(_Capped(urlh), *args, **kwargs)
        if isinstance(content, str) and content.lstrip("\ufeff \t\r\n").startswith("<"):
            self.pages.append((urlh.url, content))
        return content

    def _parse_m3u8_formats_and_subtitles(self, *args: Any, **kwargs: Any) -> Any:
        formats, subtitles = super()._parse_m3u8_formats_and_subtitles(*args, **kwargs)
        # It takes the lines of a malformed playlist for variants, and is slow with thousands of them.
        return formats[:_VARIANTS], subtitles


class HTML5MediaEmbedIE(_Bounded, genericembeds.HTML5MediaEmbedIE):  # type: ignore[misc]
    """<video> and its kin. By these names yt-dlp knows its extractors."""


class GenericIE(_Bounded, generic.GenericIE):  # type: ignore[misc]
    """Whatever else a page may say of a video."""

    def _extract_kvs(self, url: str, webpage: str, video_id: str) -> Any:
        raise ExtractorError("This player disguises where its video is, which is not undone.", expected=True)


class _Capped:
    """An answer of which no more is read than is sensible."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        is_playlist = suffix(answer.url) == ".m3u8" or "mpegurl" in (answer.headers.get("Content-Type") or "").lower()
        self._left = _PLAYLIST_BYTES if is_playlist else _PAGE_BYTES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    def read(self) -> bytes:
        """The beginning of the body."""
        pieces = []
        while self._left > 0 and (piece := self._answer.read(min(self._left, 64 * 1024))):
            pieces.append(piece)
            self._left -= len(piece)
        self._answer.close()
        return b"".join(pieces)


class _Silent:
    """yt-dlp's logger. Its lines hold whole URLs, which may be secret."""

    def debug(self, message: str) -> None:
        """Nothing is written."""

    warning = error = debug


def options(request: dict[str, Any], videos: int) -> dict[str, Any]:
    """yt-dlp's parameters. Nothing of this host takes part: no files, configuration, cookies or other programs."""
    return {
        "proxy": request["proxy"],
        "logger": _Silent(),
        "quiet": True,
        "no_warnings": True,
        "color": "never",
        "simulate": True,
        "skip_download": True,
        "cachedir": False,
        "enable_file_urls": False,
        "usenetrc": False,
        "geo_bypass": False,
        "js_runtimes": {},
        "format": "all",
        "ignore_no_formats_error": True,
        "ignoreerrors": True,  # one video of several that is broken
        "check_formats": False,
        "playlist_items": f"1-{videos}",
        "default_search": "error",
        "extractor_retries": 1,
        "socket_timeout": request["timeout"],
        "http_headers": {"User-Agent": request["user_agent"]},
    }
