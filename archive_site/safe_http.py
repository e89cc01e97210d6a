"""The only way out to a URL that came from outside (DESIGN, invariant 7).

The address is checked where the socket is opened, and the socket is opened to the very address that was
checked, so a name that changes its mind between check and connection (DNS rebinding) gains nothing. Each
redirect is a request of its own and is checked like the first. `requests_hardened` does the same one level
higher, but judges and tries the first address only and has no allow-list by host and port.

What can go wrong is one of: AddressRefused, TooManyRedirects, Unreachable (no answer) and Cut (an answer that
stopped early); nothing of requests or urllib3 escapes from here.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import requote_uri
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.retry import Retry

from archive_site.addresses import (
    AddressRefused,
    Endpoint,
    FetchError,
    Policy,
    check_url,
    display_url,
    public_endpoints,
    resolve_and_check,
)

__all__ = [
    "AddressRefused",
    "Cut",
    "FetchError",
    "Fetcher",
    "Policy",
    "TooManyRedirects",
    "Unreachable",
    "check_url",
    "display_url",
    "read_body",
    "resolve_and_check",
]

CHUNK_BYTES = 256 * 1024
_CONNECTIONS_KEPT = 64
_REDIRECTS = {301, 302, 303, 307, 308}
_USER_AGENT = "Reelkeep"


class TooManyRedirects(FetchError):
    """More hops than the policy allows."""


class Unreachable(FetchError):
    """No answer: the name doesn't resolve, nobody listens, TLS fails, or the time is over."""


class Cut(FetchError):
    """The answer began, then stopped before its end."""


class Fetcher:
    """One HTTP session under one policy. `get` may be called from several threads at once."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._session = requests.Session()
        # Proxies and .netrc of the environment are the host's own affairs, not the source's.
        self._session.trust_env = False
        self._session.headers.update({"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"})
        adapter = _CheckedAdapter(policy)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections kept for reuse."""
        self._session.close()

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        range_start: int | None = None,
        range_end: int | None = None,
    ) -> requests.Response:
        """The answer to GET, its body unread (see `read_body`); close it. Any HTTP status is an answer.

        `range_start` asks for the bytes from there to `range_end`, which is included (None: to the end; RFC 9110
        §14.1.2). Redirects are followed; the last URL is `response.url`. Raises AddressRefused, TooManyRedirects,
        Unreachable.
        """
        sent = dict(headers or {})
        if range_start is not None:
            sent["Range"] = f"bytes={range_start}-{'' if range_end is None else range_end}"
        for _ in range(self.policy.max_redirects + 1):
            response = self._one_hop(url, sent)
            target = _redirect_target(response)
            if target is None:
                return response
            response.close()
            if _origin(url) != _origin(target):
                sent = {k: v for k, v in sent.items() if k.lower() not in {"authorization", "cookie"}}
            url = target
        raise TooManyRedirects(f"{display_url(url)} redirects more than {self.policy.max_redirects} times.")

    def _one_hop(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        check_url(url, self.policy)
        timeout = (self.policy.connect_timeout, self.policy.read_timeout)
        try:
            return self._session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=timeout)
        # requests lets some of what urllib3, idna and http.cookiejar raise through as it is.
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unreachable(f"{display_url(url)} can't be reached: {_reason(error)}.") from error


def read_body(response: requests.Response, *, decode: bool = False) -> Iterator[bytes]:
    """The body as it arrives, in pieces of at most 256 KiB, `decode`d by its Content-Encoding if wanted.

    Never waits to fill a piece, so the caller is asked often even by a slow source. Raises Cut when the
    source stops before the promised length, breaks the connection, or is silent for the policy's read
    time-out.
    """
    try:
        while piece := response.raw.read1(CHUNK_BYTES, decode_content=decode):
            yield piece
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise Cut(f"{display_url(response.url)} stopped in the middle: {_reason(error)}.") from error


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _redirect_target(response: requests.Response) -> str | None:
    location = response.headers.get("Location")
    if response.status_code not in _REDIRECTS or not location:
        return None
    # Servers send UTF-8 where RFC 9110 §10.2.2 allows ASCII only; http.client reads headers as Latin-1.
    location = location.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        return requote_uri(urljoin(response.url, location))
    except (ValueError, requests.RequestException):
        response.close()
        raise AddressRefused(f"{display_url(response.url)} redirects to a malformed URL.") from None


def _reason(error: BaseException) -> str:
    """What happened in plain words; the libraries' own texts hold whole URLs."""
    causes = list(_causes(error))
    for kinds, words in _REASONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    return "the connection failed"


_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror,), "its name doesn't resolve"),
    (
        (requests.exceptions.SSLError, urllib3.exceptions.SSLError),
        "TLS failed, for example by a bad certificate",
    ),
    ((TimeoutError, urllib3.exceptions.ReadTimeoutError, requests.Timeout), "it took too long to answer"),
    ((ConnectionRefusedError,), "it refuses connections"),
    ((urllib3.exceptions.IncompleteRead, http.client.IncompleteRead), "fewer bytes came than were promised"),
    ((ConnectionError, http.client.RemoteDisconnected), "it closed the connection"),
    ((urllib3.exceptions.DecodeError,), "its compression is broken"),
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


class _CheckedAdapter(HTTPAdapter):
    """requests' adapter over connections that check where they go."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        super().__init__(pool_maxsize=_CONNECTIONS_KEPT, max_retries=Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._policy)


def _pool_classes(policy: Policy) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Connection pools by scheme whose every new socket goes to an address that `policy` allows."""

    class CheckedHTTP(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class CheckedHTTPS(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class HTTPPool(urllib3.HTTPConnectionPool):
        ConnectionCls = CheckedHTTP

    class HTTPSPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = CheckedHTTPS

    return {"http": HTTPPool, "https": HTTPSPool}


def _connect(connection: HTTPConnection, policy: Policy) -> socket.socket:
    """A socket to the first of the host's addresses that answers; AddressRefused if any isn't public."""
    try:
        endpoints = public_endpoints(connection.host, connection.port, policy, policy.connect_timeout)
        return _first_that_answers(endpoints, policy.connect_timeout, connection.socket_options)
    except OSError as error:
        raise NewConnectionError(connection, f"can't connect: {type(error).__name__}") from error


def _first_that_answers(endpoints: list[Endpoint], timeout: float, options: Any) -> socket.socket:
    trouble: OSError = socket.gaierror("no address")
    for endpoint in endpoints:
        sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(timeout)
            sock.connect(endpoint.sockaddr)
        except OSError as error:
            sock.close()
            trouble = error
        else:
            return sock
    raise trouble
