"""Which version of a file a source has, and whether an answer to a range request is of the same (RFC 9110 §14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from archive_site.safe_http import Fetcher, FetchError, display_url
from queue_app.downloaders.answer import Answer, as_failure, status_failure
from queue_app.downloaders.retry_after import retry_after
from queue_app.failures import Failure

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")  # RFC 9110 §14.4
_SHA256 = re.compile(r"sha-256=:?([A-Za-z0-9+/]{43}=)", re.IGNORECASE)  # RFC 9530 §3, and RFC 3230 §4.3.2 before it
_CHANGED_STATUSES = {412, 416}


class Refused(Exception):
    """A request was answered otherwise than by bytes, or not at all; perhaps only because there were many at once."""

    def __init__(self, failure: Failure, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(str(failure))
        self.failure, self.status, self.retry_after = failure, status, retry_after


class Changed(Exception):
    """The source has another file now."""


class NoRanges(Exception):
    """The source doesn't give the range that was asked for; if it gave the whole file instead, `answer` is that."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__("no ranges")
        self.answer = answer


class _Span(NamedTuple):
    """Bytes `first` to `last`, both included, of a file of `total`; None when that isn't said."""

    first: int
    last: int
    total: int | None


@dataclass(frozen=True)
class Version:
    """What every answer for one file has to agree with."""

    etag: str = ""
    modified: str = ""
    digest: str = ""
    """SHA-256 of the whole file in base64, where the source gives it."""
    total: int | None = None

    @classmethod
    def of(cls, answer: Answer) -> Version:
        """That of an answer with the whole file, or with a range of it."""
        span = _span_of(answer)
        total = answer.length if answer.status == 200 else span.total if span else None
        digest = _SHA256.search(answer.header("Repr-Digest") or answer.header("Digest"))
        return cls(
            answer.header("ETag"),
            answer.header("Last-Modified"),
            digest[1] if digest and total is not None else "",
            total,
        )

    @property
    def strong_etag(self) -> str:
        """The ETag if it promises the same bytes (RFC 9110 §8.8.1), else ""."""
        return self.etag if self.etag.startswith('"') else ""

    @property
    def validator(self) -> str:
        """What If-Range may hold; "" when there is nothing."""
        return self.strong_etag or self.modified

    def may_equal(self, other: Version) -> bool:
        """Could `other`, of another answer from the same URL, be of the same file?"""
        if self.total is not None and other.total is not None and self.total != other.total:
            return False
        return _agree(self.etag, other.etag) and (bool(self.strong_etag) or _agree(self.modified, other.modified))

    def may_mirror(self, other: Version) -> bool:
        """Could `other`, from another URL, be of the same file? Their bytes are still to be compared."""
        return (
            self.total == other.total is not None
            and _agree(self.strong_etag, other.strong_etag)
            and _agree(self.digest, other.digest)
        )


def ask_range(
    fetcher: Fetcher, url: str, headers: Mapping[str, str], start: int, end: int | None, version: Version
) -> Answer:
    """The bytes from `start` up to `end` (not included; None: to the last), or fewer of them, of `version`'s file.

    Raises Refused, Changed and NoRanges.
    """
    sent = dict(headers) | {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
    if version.validator:
        sent["If-Range"] = version.validator
    try:
        response = fetcher.get(url, headers=sent)
    except FetchError as error:
        raise Refused(as_failure(error)) from error
    if response.status_code in _CHANGED_STATUSES:
        response.close()
        raise Changed(f"{display_url(url)} has no such range any more: the source answered {response.status_code}.")
    if response.status_code not in {200, 206}:
        response.close()
        wait = retry_after(str(response.headers.get("Retry-After", "")))
        raise Refused(status_failure(response.status_code, response.url), response.status_code, wait)
    answer = Answer(response)
    try:
        _check(answer, start, version)
    except NoRanges as wrong:
        if wrong.answer is None:
            answer.close()
        raise
    except BaseException:
        answer.close()
        raise
    return answer


def end_of(answer: Answer) -> int | None:
    """The byte of the file behind the last one that `answer` promises; None when it doesn't say."""
    if answer.status == 200:
        return answer.length
    span = _span_of(answer)
    return span.last + 1 if span else None


def _check(answer: Answer, start: int, version: Version) -> None:
    found = Version.of(answer)
    if not version.may_equal(found):
        raise Changed(f"{display_url(answer.url)} is another file now than a moment ago.")
    if answer.status == 200:
        raise NoRanges(answer)
    span = _span_of(answer)
    packed = answer.header("Content-Encoding").lower() not in {"", "identity"}
    if packed or span is None or span.first != start:
        raise NoRanges(None)


def _span_of(answer: Answer) -> _Span | None:
    """What Content-Range says; None when it says nothing, or nothing that can be."""
    found = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
    if found is None:
        return None
    span = _Span(int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3]))
    # RFC 9110 §14.4: a range that ends before it begins, or behind the end of the file, must not be used.
    possible = span.first <= span.last and (span.total is None or span.last < span.total)
    return span if possible else None


def _agree(one: str, other: str) -> bool:
    return not one or not other or one == other
