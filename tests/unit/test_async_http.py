"""AsyncFetcher against origins that misbehave: what it gives, what it refuses, and when it lets go."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from archive_site.addresses import AddressRefused, Policy
from archive_site.async_http import AsyncFetcher, TimedOut, Upstream, fetcher_for
from archive_site.fetch_errors import BodyTooLarge, Cut, FetchError, TooManyRedirects, Unreachable
from tests.servers.origin import Chunked, Cut as CutOff, Needs, Origin, Redirect, Slow, Stall, Status
from tests.servers.proxy import TunnelProxy
from tests.servers.raw import RawServer, answering

CONTENT = bytes(range(256)) * 4000
SHORT = Policy(connect_timeout=5, first_byte_timeout=0.3, head_timeout=1, read_timeout=0.3, slow_seconds=0.5)
T = TypeVar("T")


def allowing(*hosts: tuple[str, int], like: Policy = Policy()) -> Policy:
    return Policy(**{**like.__dict__, "allow_hosts": frozenset(hosts)})


@asynccontextmanager
async def fetching(policy: Policy, *, trusted: bool = False) -> AsyncIterator[AsyncFetcher]:
    fetcher = AsyncFetcher(policy, trusted=trusted)
    try:
        yield fetcher
    finally:
        await fetcher.close()


def run(policy: Policy, work: Callable[[AsyncFetcher], Awaitable[T]], *, trusted: bool = False) -> T:
    """What `work` returns, in an event loop of its own."""

    async def main() -> T:
        async with fetching(policy, trusted=trusted) as fetcher:
            return await work(fetcher)

    return asyncio.run(main())


def fetched(
    policy: Policy, url: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[Upstream, bytes]:
    """The answer and its whole body."""

    async def work(fetcher: AsyncFetcher) -> tuple[Upstream, bytes]:
        upstream = await fetcher.open(url, headers, method=method)
        return upstream, await upstream.read(100_000_000)

    return run(policy, work)


def test_a_body_comes_whole_and_its_connection_is_used_again(origin: Origin) -> None:
    url = origin.put("/a.mp4", CONTENT)

    async def work(fetcher: AsyncFetcher) -> list[bytes]:
        return [await (await fetcher.open(url)).read(len(CONTENT)) for _ in range(3)]

    assert run(allowing(origin.host_port), work) == [CONTENT] * 3
