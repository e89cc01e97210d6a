"""What can go wrong with a fetch, and how it is said to the operator."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import requests
import urllib3

from archive_site.addresses import AddressRefused, FetchError

__all__ = ["AddressRefused", "BodyTooLarge", "Cut", "FetchError", "TooManyRedirects", "Unreachable", "reason"]


class TooManyRedirects(FetchError):
    """More hops than the policy allows."""


class Unreachable(FetchError):
    """No answer: the name doesn't resolve, nobody listens, TLS fails, or the time is over."""


class Cut(FetchError):
    """The answer began, then stopped before its end."""


class BodyTooLarge(Cut):
    """The answer was cut by us: it is, or unpacks to, more than is allowed. Asking again won't change that."""


class HeaderTooLarge(http.client.HTTPException):
    """The lines of an answer's header (or between its chunks) are more than is read."""


class Stalled(TimeoutError):
    """A body comes so slowly that it counts as silent."""


class ProxyTrouble(OSError):
    """The operator's proxy doesn't do its part; the text says why, without its credentials."""


def reason(error: BaseException) -> str:
    """What happened in plain words; the libraries' own texts hold whole URLs."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ProxyTrouble):
            return str(cause)
    for kinds, words in _REASONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    return "the connection failed"


_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror,), "its name doesn't resolve"),
    ((Stalled,), "it sends next to nothing"),
    # TLS libraries report a time-out as an error of TLS.
    ((TimeoutError, urllib3.exceptions.ReadTimeoutError, requests.Timeout), "it took too long to answer"),
    (
        (requests.exceptions.SSLError, urllib3.exceptions.SSLError),
        "TLS failed, for example by a bad certificate",
    ),
    ((ConnectionRefusedError,), "it refuses connections"),
    ((urllib3.exceptions.IncompleteRead, http.client.IncompleteRead), "fewer bytes came than were promised"),
    ((ConnectionError, http.client.RemoteDisconnected), "it closed the connection"),
    ((urllib3.exceptions.DecodeError,), "its compression is broken"),
    ((HeaderTooLarge, http.client.LineTooLong), "its header is too large"),
    ((http.client.HTTPException,), "its answer is not valid HTTP"),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
