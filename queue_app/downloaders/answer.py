"""A source's answer: what its status, type and first bytes say, as a failure or as bytes to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import requests

from archive_site.safe_http import (
    AddressRefused,
    BodyTooLarge,
    Cut,
    Fetcher,
    FetchError,
    TooManyRedirects,
    display_url,
    read_body,
)
from queue_app.downloaders.page_links import MEDIA_SUFFIXES, suffix
from queue_app.failures import BadSource, ExpiredUrl, Failure, Forbidden, Gone, Transient
from queue_app.media.containers import SNIFF_BYTES, looks_like_text

_GONE = {404, 410}
_REFUSED = {401, 403, 407, 451}
_BUSY = {408, 425, 429}
_COMPRESSED = {"gzip", "x-gzip", "deflate", "br", "zstd", "compress"}
_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_PAGE_TYPES = {*_HTML_TYPES, "application/json"}
_HTML_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<title", b"<meta", b"<body", b"<script", b"<!--")
_PLAYLIST_TYPES = {
    "application/vnd.apple.mpegurl",  # RFC 8216 §4
    "application/x-mpegurl",
    "application/mpegurl",
    "audio/mpegurl",
    "audio/x-mpegurl",
}


class NotMedia(BadSource):
    """A web page or other text where a video was wanted."""


class WebPage(NotMedia):
    """A page that may lead to the video."""


class Answer:
    """An open 200 or 206 answer whose first bytes are known. Use as a context manager, or `close` it."""

    def __init__(self, response: requests.Response, *, decode: bool = False) -> None:
        self._response = response
        self._pieces = read_body(response, decode=decode and "Content-Encoding" in response.headers)
        self.head = b""

    @classmethod
    def open(
        cls,
        fetcher: Fetcher,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        range_start: int | None = None,
        decode: bool = False,
    ) -> Answer:
        """Ask for `url`. Raises Gone, Forbidden, Transient or BadSource when there is nothing to read."""
        try:
            response = fetcher.get(url, headers=headers, range_start=range_start)
        except FetchError as error:
            raise as_failure(error) from error
        if response.status_code not in ({200} if range_start is None else {200, 206}):
            response.close()
            raise status_failure(response.status_code, response.url)
        return cls(response, decode=decode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; it is closed unless the body was read to its end."""
        self._response.close()

    def stop(self) -> None:
        """Wake up a reader in another thread, who then sees Cut."""
        try:
            self._response.raw.shutdown()
        except (ValueError, RuntimeError, OSError):
            # Already read to its end or closed: there is nobody to wake.
            return

    def sniff(self) -> bytes:
        """Read enough of the body to tell its kind (less when it is shorter); may raise Cut."""
        while len(self.head) < SNIFF_BYTES:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self.head += piece
        return self.head

    def pieces(self) -> Iterator[bytes]:
        """The whole body, what `sniff` read included; may raise Cut."""
        if self.head:
            yield self.head
        yield from self._pieces

    @property
    def url(self) -> str:
        """Where the answer came from, after redirects."""
        return self._response.url

    @property
    def status(self) -> int:
        """200 or 206."""
        return self._response.status_code

    @property
    def length(self) -> int | None:
        """Bytes promised for this body, None when the source doesn't say."""
        value = self.header("Content-Length")
        chunked = "chunked" in self.header("Transfer-Encoding").lower()
        return int(value) if value.isascii() and value.isdigit() and not chunked else None

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.header("Content-Type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """A response header's value, "" when there is none."""
        return str(self._response.headers.get(name, ""))

    def is_playlist(self) -> bool:
        """Does its type or its (sniffed) beginning say HLS?"""
        return self.head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U") or (
            self.content_type in _PLAYLIST_TYPES
        )

    def is_page(self) -> bool:
        """Is it HTML, by its type or its (sniffed) beginning? Not if its URL has a video's suffix."""
        text = self.head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if suffix(self.url) in MEDIA_SUFFIXES or not looks_like_text(self.head) or b"<MPD" in self.head:
            return False
        if self.content_type == "application/json" or text.startswith((b"{", b"[")):
            return False
        return self.content_type in _HTML_TYPES or text[:20].lower().startswith(_HTML_BEGINNINGS)

    def check_is_media(self, *, by_type: bool = True) -> None:
        """Raise BadSource when the (sniffed) answer is empty or compressed, NotMedia for a web page or other text.

        Without `by_type` its Content-Type isn't asked, which for segments is often wrong.
        """
        where = display_url(self.url)
        if not self.head:
            raise BadSource(f"{where} answered an empty file (0 bytes).")
        if self.header("Content-Encoding").lower() in _COMPRESSED:
            raise BadSource(f"{where} answered compressed data although plain bytes were asked for.")
        if b"<MPD" in self.head:
            raise BadSource(f"{where} is a DASH manifest, which is not supported yet.")
        if (by_type and self.content_type in _PAGE_TYPES) or looks_like_text(self.head):
            raise NotMedia(f"{where} answered a web page or other text, not a video.")


def as_failure(error: FetchError) -> Failure:
    """The failure that a refused address or a network error is."""
    if isinstance(error, AddressRefused):
        return Forbidden(str(error))
    if isinstance(error, TooManyRedirects):
        return BadSource(str(error))
    return Transient(str(error))


def status_failure(status: int, url: str) -> Failure:
    """The failure that an HTTP status other than 200 and 206 is."""
    where = display_url(url)
    if status in _GONE:
        return Gone(f"{where} is gone: the source answered {status}.")
    if status in _REFUSED:
        return Forbidden(f"{where} may not be fetched: the source answered {status}.")
    if status in _BUSY or status >= 500:
        return Transient(f"{where} is in trouble: the source answered {status}.")
    return BadSource(f"{where} gave no file: the source answered {status}.")


def cut_failure(cut: Cut, promised: int | None, sent: int) -> Failure:
    """The failure for a body that stopped after `sent` bytes of `promised`, or unpacked to too many."""
    if isinstance(cut, BodyTooLarge):
        return BadSource(str(cut))
    if promised is None:
        return Transient(f"{cut} {sent} bytes came.")
    return Transient(f"{cut} The source promised {promised} bytes, sent {sent}.")


def may_have_expired(failure: Failure) -> bool:
    """Is it what a signed URL answers when its time is over: 401, 403, 404 or 410?"""
    return isinstance(failure, Forbidden | Gone | ExpiredUrl) and not isinstance(failure.__cause__, AddressRefused)
