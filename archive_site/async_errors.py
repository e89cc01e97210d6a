"""What aiohttp and asyncio raise, said to people as `fetch_errors` says it."""

from __future__ import annotations

import ssl
from typing import TypeVar

import aiohttp
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from archive_site.addresses import AddressRefused, display_url
from archive_site.fetch_errors import Cut, FetchError, Unreachable, reason

T = TypeVar("T", bound=BaseException)


class TimedOut(Unreachable):
    """No answer in time."""


def unreachable(url: str, error: BaseException) -> FetchError:
    """For what happened before the answer's header was there."""
    cause = _find(error, AddressRefused)
    if cause is not None:
        return cause
    text = f"{display_url(url)} can't be reached: {_reason(error)}."
    return TimedOut(text) if _find(error, TimeoutError) else Unreachable(text)


def cut(url: str, error: BaseException) -> Cut:
    """For what happened in the middle of its body."""
    return Cut(f"{display_url(url)} stopped in the middle: {_reason(error)}.")


def _reason(error: BaseException) -> str:
    for kinds, words in _REASONS:
        if _find(error, kinds) is not None:
            return words
    return reason(error)


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    # A handshake that takes too long is an error of TLS, too.
    (TimeoutError, "it took too long to answer"),
    (ssl.SSLError, "TLS failed, for example by a bad certificate"),
    (LineTooLong, "its header is too large"),
    (aiohttp.ServerDisconnectedError, "it closed the connection"),
    (aiohttp.ClientPayloadError, "fewer bytes came than were promised"),
    (BadHttpMessage, "its answer is not valid HTTP"),
    (aiohttp.ClientResponseError, "its answer is not valid HTTP"),
)


def _find(error: BaseException, kind: type[T]) -> T | None:
    """The first of this kind among `error` and what led to it."""
    current: BaseException | None = error
    for _ in range(10):
        if current is None or isinstance(current, kind):
            return current
        current = current.__cause__ or current.__context__
    return None
