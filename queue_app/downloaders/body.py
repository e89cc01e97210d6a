"""One HLS resource over HTTP: the whole of it or the bytes asked for, and what a refusal means."""

from __future__ import annotations

import re
from collections.abc import Iterator

import requests

from archive_site.safe_http import Fetcher, FetchError, display_url
from queue_app.downloaders.answer import Answer, as_failure, status_failure
from queue_app.downloaders.base import Source
from queue_app.downloaders.retry_after import retry_after
from queue_app.downloaders.segments import Resource
from queue_app.failures import BadSource, Failure, Transient

REFUSALS = {401, 403, 404, 410}
_BUSY = {429, 503}
_CHEAP_BYTES = 16 * 1024 * 1024
"""From a server without ranges, so many bytes are read and thrown away at most."""
_LONGEST_WAIT = 60.0


class Refused(Exception):
    """The server won't give it: gone, forbidden, or a signed URL whose time is over."""

    def __init__(self, status: int, failure: Failure) -> None:
        super().__init__(str(failure))
        self.status, self.failure = status, failure


class Busy(Exception):
    """The server asks for fewer requests; `wait` is its Retry-After in seconds, None when it names none."""

    def __init__(self, failure: Transient, wait: float | None) -> None:
        super().__init__(str(failure))
        self.failure, self.wait = failure, wait


def ask(fetcher: Fetcher, source: Source, resource: Resource) -> Answer:
    """The answer for `resource`. Raises Refused, Busy, and Forbidden, BadSource, Transient."""
    headers = source.headers_for(resource.url)
    if resource.length is not None:
        headers["Range"] = f"bytes={resource.start}-{resource.start + resource.length - 1}"
    try:
        response = fetcher.get(resource.url, headers=headers)
    except FetchError as error:
        raise as_failure(error) from error
    try:
        _check(response, resource)
    except BaseException:
        response.close()
        raise
    return Answer(response)


def wanted_bytes(answer: Answer, resource: Resource) -> Iterator[bytes]:
    """The bytes of `resource` alone; may raise Cut, and Transient when the file ends too early."""
    if resource.length is None:
        yield from answer.pieces()
        return
    skip = resource.start if answer.status == 200 else 0
    left = resource.length
    for piece in answer.pieces():
        part = piece[skip : skip + left]
        skip = max(0, skip - len(piece))
        left -= len(part)
        if part:
            yield part
        if left == 0:
            return
    where = display_url(answer.url)
    raise Transient(f"{where} ends {left} bytes before the end of the range that the playlist names.")


def _check(response: requests.Response, resource: Resource) -> None:
    status, where = response.status_code, display_url(response.url)
    if status in _BUSY:
        wait = retry_after(str(response.headers.get("Retry-After", "")))
        wait = None if wait is None else min(wait, _LONGEST_WAIT)
        raise Busy(Transient(str(status_failure(status, response.url))), wait)
    if status in REFUSALS:
        raise Refused(status, status_failure(status, response.url))
    if resource.length is None:
        if status != 200:
            raise status_failure(status, response.url)
        return
    if status == 206:
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(?:\d+|\*)", response.headers.get("Content-Range", "").strip())
        end = resource.start + resource.length - 1
        if span is None or (int(span[1]), int(span[2])) != (resource.start, end):
            raise BadSource(f"{where} answered other bytes than the range that was asked for.")
    elif status != 200:
        raise status_failure(status, response.url)
    elif resource.start + resource.length > _CHEAP_BYTES:
        raise BadSource(f"{where} can't be read by byte ranges, which the playlist needs.")
