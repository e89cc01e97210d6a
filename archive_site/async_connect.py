"""aiohttp's connections, opened here: only to addresses that were checked, and to the very ones.

The same rules as in `connections`, without a thread for each viewer who waits: names are looked up in threads, which
`addresses` bounds, and the rest is the event loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aiohappyeyeballs
from aiohttp import BaseConnector
from aiohttp.client_proto import ResponseHandler

from archive_site.addresses import Endpoint, Policy, look_up, normal_host, public_endpoints
from archive_site.fetch_errors import ProxyTrouble
from archive_site.proxy_route import Proxy, open_tunnel

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.tracing import Trace

ADDRESSES_TRIED = 8
_NEXT_ADDRESS_SECONDS = 0.25  # RFC 8305 §5
_KEPT_SECONDS = 15

# Threads wait here for a name or for the operator's proxy, never for a foreign host's bytes.
_THREADS = ThreadPoolExecutor(64, thread_name_prefix="connect")


async def addresses_of(
    host: str, port: int, policy: Policy, seconds: float, *, trusted: bool = False
) -> list[Endpoint]:
    """Where host:port may be connected to: what `public_endpoints` finds in a thread of its own, with `trusted` what
    `look_up` does. Raises as they do; TimeoutError also when no thread was free for so many seconds."""
    look = look_up if trusted else functools.partial(_checked, policy)
    async with asyncio.timeout(seconds):
        return await asyncio.get_running_loop().run_in_executor(_THREADS, look, host, port, seconds)


class _Abrupt(ResponseHandler):
    """A connection that ends at once. TLS would first say goodbye, while the rest of a file goes on coming in."""

    def close(self) -> None:
        self.abort()


class CheckedConnector(BaseConnector):
    """Connections under one policy, any number at once, kept for reuse. With `trusted`, to any address."""

    def __init__(self, policy: Policy, *, trusted: bool = False) -> None:
        super().__init__(limit=0, keepalive_timeout=_KEPT_SECONDS)
        self._policy, self._trusted = policy, trusted
        self._proxy = Proxy.parse(policy.proxy) if policy.proxy else None
        self._factory = functools.partial(_Abrupt, loop=self._loop)  # type: ignore[assignment]
        self._tls: ssl.SSLContext | None = None

    def forget(self) -> None:
        """Let go of everything, also when the event loop has ended."""
        self._close()

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> ResponseHandler:
        """Called by aiohttp. Raises AddressRefused and OSError; TimeoutError is one."""
        host, port = str(req.host), int(req.port or 0)
        async with asyncio.timeout(self._policy.connect_timeout):
            sock = await self._open(host, port)
        tls: dict[str, Any] = {}
        if req.is_ssl():
            # Beyond what is waited here: asyncio's own time-out can't be told from a connection that breaks.
            limit = 2 * self._policy.connect_timeout
            tls = {"ssl": self._tls_context(), "server_hostname": host.rstrip("."), "ssl_handshake_timeout": limit}
        async with asyncio.timeout(self._policy.connect_timeout):
            _, protocol = await self._loop.create_connection(self._factory, sock=sock, **tls)
        return protocol

    async def _open(self, host: str, port: int) -> socket.socket:
        allowed = (normal_host(host), port) in self._policy.allow_hosts
        proxy = None if allowed else self._proxy
        try:
            endpoints = await addresses_of(
                host, port, self._policy, self._policy.connect_timeout, trusted=self._trusted
            )
        except socket.gaierror as error:
            if proxy is None:
                raise
            raise ProxyTrouble("its name doesn't resolve on this host, which has to check the address") from error
        if proxy is not None:
            return await self._tunnel(proxy, endpoints)
        return await aiohappyeyeballs.start_connection(
            [(end.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", end.sockaddr) for end in _few(endpoints)],
            happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS,
        )

    async def _tunnel(self, proxy: Proxy, endpoints: list[Endpoint]) -> socket.socket:
        work = functools.partial(open_tunnel, proxy, _few(endpoints), self._policy.connect_timeout)
        task = self._loop.run_in_executor(_THREADS, work)
        try:
            sock = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_close_unused)
            raise
        sock.setblocking(False)
        return sock

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _checked(policy: Policy, host: str, port: int, seconds: float) -> list[Endpoint]:
    return public_endpoints(host, port, policy, seconds)


def _few(endpoints: list[Endpoint]) -> list[Endpoint]:
    return endpoints[:ADDRESSES_TRIED]


def _close_unused(task: asyncio.Future[socket.socket]) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        task.result().close()
