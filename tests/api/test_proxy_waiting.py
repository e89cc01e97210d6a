"""What takes its time for one viewer is waited for in threads that nothing else needs."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from django.http import HttpResponse
from django.test import AsyncRequestFactory

from archive_site.addresses import Endpoint, Policy
from storage_app.playback import accel
from storage_app.playback.upstream import proxied
from storage_app.playback.urls import signer
from tests.servers.origin import Origin

DEADLINE = 60.0
T = TypeVar("T")


def while_all_threads_are_busy(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns although no thread of the event loop's own comes free. Raises TimeoutError."""
    over = threading.Event()

    async def main() -> T:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, over.wait)
        try:
            async with asyncio.timeout(DEADLINE):
                return await work()
        finally:
            over.set()
            await busy

    return asyncio.run(main())


@pytest.mark.parametrize("look_up", [accel.checked_address, accel.trusted_address])
def test_names_are_looked_up(look_up: Callable[[str, Policy], Awaitable[Endpoint | None]]) -> None:
    found = while_all_threads_are_busy(lambda: look_up("http://93.184.216.34/1.ts", Policy()))
    assert found == Endpoint(socket.AF_INET, ("93.184.216.34", 80))


def test_a_name_that_does_not_resolve_is_soon_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def getaddrinfo(*_args: Any, **_kwargs: Any) -> list[Any]:
        over.wait()
        raise socket.gaierror("No answer.")

    monkeypatch.setattr("archive_site.addresses.socket.getaddrinfo", getaddrinfo)
    patient = Policy(connect_timeout=1000)

    async def ask() -> BaseException | Endpoint | None:
        asked = asyncio.ensure_future(accel.checked_address("http://slow.example/1.ts", patient))
        await asyncio.wait([asked], timeout=DEADLINE)
        return asked.exception() if asked.done() else None

    try:
        assert isinstance(asyncio.run(ask()), TimeoutError)
    finally:
        over.set()


def test_long_playlists_are_rewritten(origin: Origin, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = frozenset([origin.host_port])
    segments = "".join(f"#EXTINF:1,\nsegment{number}.ts\n" for number in range(5000))
    url = origin.put("/long.m3u8", f"#EXTM3U\n{segments}#EXT-X-ENDLIST\n".encode())
    request = AsyncRequestFactory().get("/proxy")
    answer = while_all_threads_are_busy(lambda: proxied(request, url, signer()))
    assert isinstance(answer, HttpResponse)
    assert (answer.status_code, answer.content.count(b"\n/proxy?exp=")) == (200, 5000)
