"""yt-dlp's generic extractor, kept within bounds: pages of bounded number and size, nothing undone, nothing logged."""

from __future__ import annotations

from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.extractor import generic
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import ExtractorError

_PAGE_BYTES = 5 * 1024 * 1024
_REQUESTS = 60


class GenericIE(generic.GenericIE):  # type: ignore[misc] # yt-dlp has no types; its name is what makes it the generic one
    """yt-dlp's own, of a bounded number of pages of bounded size, which are kept for a look of ours."""

    def __init__(self, downloader: YoutubeDL) -> None:
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

    def _extract_kvs(self, url: str, webpage: str, video_id: str) -> Any:
        raise ExtractorError("This player disguises where its video is, which is not undone.", expected=True)


class _Capped:
    """An answer of which no more than 5 MiB are read."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    def read(self) -> bytes:
        """The beginning of the body."""
        pieces = []
        left = _PAGE_BYTES
        while left > 0 and (piece := self._answer.read(min(left, 64 * 1024))):
            pieces.append(piece)
            left -= len(piece)
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
        "check_formats": False,
        "playlist_items": f"1-{videos}",
        "default_search": "error",
        "extractor_retries": 1,
        "socket_timeout": request["timeout"],
        "http_headers": {"User-Agent": request["user_agent"]},
    }
