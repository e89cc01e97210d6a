"""The way out to upstreams for viewers: what `safe_http` is for workers, in the event loop and without waiting threads.

The policy is the same and is enforced at the same two places: the URL's form is checked for each hop, and the address
where the connection is opened (`async_connect`). Bodies come as fast as they are taken and no faster, and whoever
leaves takes the upstream's connection along at once.
"""

from __future__ import annotations

import asyncio
import atexit
import time
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urljoin

import requests
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from aiohttp.http_exceptions import BadHttpMessage
from requests.utils import requote_uri
from yarl import URL

from archive_site.addresses import AddressRefused, Policy, check_url, display_url
from archive_site.async_connect import CheckedConnector
from archive_site.async_errors import TimedOut, cut, unreachable
from archive_site.fetch_errors import BodyTooLarge, Cut, TooManyRedirects
from archive_site.safe_http import carried

__all__ = ["AsyncFetcher", "TimedOut", "Upstream", "fetcher_for"]

# What waits in memory for a slow viewer is about three of these.
READ_BYTES = 256 * 1024
_HEAD_LINE_BYTES = 32 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_OWN_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Reelkeep"}
# Say nothing about whom we are, so another origin may know them too.
_CONDITIONS = {"if-none-match", "if-modified-since"}
_TROUBLE = (ClientError, BadHttpMessage, OSError, ValueError, asyncio.IncompleteReadError)


class Upstream:
    """An answer whose body is still to be read. Whoever has one ends it: by reading it to its end, or by `abort`."""

    def __init__(self, response: ClientResponse, url: str, policy: Policy) -> None:
        self._response, self._policy = response, policy
        self._loop = asyncio.get_running_loop()
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        """Names are found in any case. Of a header that came twice, the first."""
        self.url = url
        """Where the last redirect led."""
        if (connection := response.connection) is not None and connection.protocol is not None:
            connection.protocol.read_timeout = policy.read_timeout

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, in pieces of up to some hundred kilobytes; nothing is read ahead of a slow taker.

        Raises Cut when it stops before its end, or as good as stops.
        """
        came, waited = 0, 0.0
        read = self._response.content.readany
        try:
            while True:
                started = time.monotonic()
                piece = await read()
                if not piece:
                    return
                came += len(piece)
                if came >= self._policy.slow_bytes:
                    came, waited = 0, 0.0
                else:
                    waited += time.monotonic() - started
                    if waited > self._policy.slow_seconds:
                        raise Cut(f"{display_url(self.url)} stopped in the middle: it sends next to nothing.")
                yield piece
        except _TROUBLE as error:
            raise cut(self.url, error) from None
        finally:
            self.abort()

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises Cut, and BodyTooLarge when it has more than `limit` bytes."""
        body = bytearray()
        async for piece in self.chunks():
            body += piece
            if len(body) > limit:
                self.abort()
                raise BodyTooLarge(f"{display_url(self.url)} is larger than the {limit} bytes that are read of it.")
        return bytes(body)

    def abort(self) -> None:
        """Break the connection off, unless the body was read to its end: then it is kept for reuse.

        Never waits; may be called from any thread, and again.
        """
        if _running_loop() is self._loop:
            self._response.close()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._response.close)


class AsyncFetcher:
    """Connections under one policy, for one event loop; see `fetcher_for`.

    With `trusted` any address may be fetched from: for the accounts of operators, which may be in their own network.
    """

    def __init__(self, policy: Policy | None = None, *, trusted: bool = False) -> None:
        self.policy = policy or Policy()
        self._trusted = trusted
        self._connector = CheckedConnector(self.policy, trusted=trusted)
        self._session = ClientSession(
            connector=self._connector,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_BYTES,
            max_line_size=_HEAD_LINE_BYTES,
            max_field_size=_HEAD_LINE_BYTES,
            timeout=ClientTimeout(total=None, sock_read=self.policy.first_byte_timeout),
        )

    async def open(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", follow: bool = True
    ) -> Upstream:
        """The answer, its body unread. Any HTTP status is an answer; redirects are followed unless told otherwise.

        Raises AddressRefused, TooManyRedirects, TimedOut and its base class Unreachable.
        """
        sent = dict(headers or {})
        self._check(url)
        for _ in range(self.policy.max_redirects + 1):
            response = await self._one_hop(method, url, sent)
            target = _redirect_target(response, url) if follow else None
            if target is None:
                return Upstream(response, url, self.policy)
            response.release()
            self._check(target)
            sent = _carried(sent, url, target)
            url = target
        raise TooManyRedirects(f"{display_url(url)} redirects more than {self.policy.max_redirects} times.")

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def forget(self) -> None:
        """Let go of everything although the event loop has ended."""
        self._session.detach()
        self._connector.forget()

    def _check(self, url: str) -> None:
        if not self._trusted:
            check_url(url, self.policy)

    async def _one_hop(self, method: str, url: str, headers: Mapping[str, str]) -> ClientResponse:
        given = {name.lower() for name in headers}
        own = {name: value for name, value in _OWN_HEADERS.items() if name.lower() not in given}
        policy = self.policy
        try:
            # Connecting has time-outs of its own, one for the address and one for TLS.
            async with asyncio.timeout(2 * policy.connect_timeout + policy.head_timeout):
                return await self._session.request(
                    method, _prepared(url), headers={**own, **headers}, allow_redirects=False
                )
        except (requests.RequestException, *_TROUBLE) as error:
            raise unreachable(url, error) from None


_fetchers: dict[asyncio.AbstractEventLoop, dict[tuple[Policy, bool], AsyncFetcher]] = {}


def fetcher_for(policy: Policy, *, trusted: bool = False) -> AsyncFetcher:
    """The fetcher of the running event loop for this policy, with the connections that it has kept."""
    loop = asyncio.get_running_loop()
    if loop not in _fetchers:
        _forget(*(other for other in _fetchers if other.is_closed()))
        _fetchers[loop] = {}
    fetchers = _fetchers[loop]
    if (policy, trusted) not in fetchers:
        fetchers[policy, trusted] = AsyncFetcher(policy, trusted=trusted)
    return fetchers[policy, trusted]


def _forget(*loops: asyncio.AbstractEventLoop) -> None:
    for loop in loops:
        for fetcher in _fetchers.pop(loop).values():
            fetcher.forget()


# aiohttp complains of sessions that end with the process.
atexit.register(lambda: _forget(*_fetchers))


def _prepared(url: str) -> URL:
    """`url` as `safe_http` would write it: other scripts' names in IDNA, what needs it percent-encoded."""
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return URL(prepared.url or url, encoded=True)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _carried(headers: Mapping[str, str], source: str, target: str) -> dict[str, str]:
    conditions = {name: value for name, value in headers.items() if name.lower() in _CONDITIONS}
    return carried(headers, source, target) | conditions


def _redirect_target(response: ClientResponse, url: str) -> str | None:
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or not location:
        return None
    # aiohttp keeps what isn't UTF-8 as surrogates.
    location = location.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        return requote_uri(urljoin(url, location))
    except (ValueError, requests.RequestException):
        response.close()
        raise AddressRefused(f"{display_url(url)} redirects to a malformed URL.") from None
