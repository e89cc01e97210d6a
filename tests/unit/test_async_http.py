"""AsyncFetcher before origins that misbehave: what it gives, what it refuses, and when it lets go."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from archive_site.addresses import AddressRefused, Policy
from archive_site.async_http import AsyncFetcher, TimedOut, Upstream, fetcher_for
from archive_site.fetch_errors import BodyTooLarge, Cut, TooManyRedirects, Unreachable
from tests.servers import origin as misbehaviour
from tests.servers.endless import Endless
from tests.servers.origin import Origin
from tests.servers.proxy import TunnelProxy
from tests.servers.raw import Conversation, RawServer, answering
from tests.servers.tls import Certificate

CONTENT = bytes(range(256)) * 4000
IMPATIENT = Policy(connect_timeout=2, first_byte_timeout=0.5, head_timeout=0.5, read_timeout=0.5, slow_seconds=0.5)
PUBLIC = "http://93.184.216.34"
T = TypeVar("T")


def allowing(*hosts: tuple[str, int], like: Policy = IMPATIENT) -> Policy:
    return dataclasses.replace(like, allow_hosts=frozenset(hosts))


def run(fetcher: Callable[[], AsyncFetcher], work: Callable[[AsyncFetcher], Awaitable[T]]) -> T:
    """What `work` returns, in an event loop of its own."""

    async def main() -> T:
        made = fetcher()
        try:
            return await work(made)
        finally:
            await made.close()

    return asyncio.run(main())


def fetch(policy: Policy, url: str, limit: int = 10_000_000, **headers: str) -> tuple[Upstream, bytes]:
    """The answer and its body."""

    async def work(fetcher: AsyncFetcher) -> tuple[Upstream, bytes]:
        upstream = await fetcher.open(url, {name.replace("_", "-"): value for name, value in headers.items()})
        return upstream, await upstream.read(limit)

    return run(lambda: AsyncFetcher(policy), work)


def test_bodies_come_whole_over_one_connection(origin: Origin) -> None:
    url = origin.put("/a.mp4", CONTENT)

    async def work(fetcher: AsyncFetcher) -> list[bytes]:
        return [await (await fetcher.open(url)).read(len(CONTENT)) for _ in range(3)]

    before = threading.active_count()
    assert run(lambda: AsyncFetcher(allowing(origin.host_port)), work) == [CONTENT] * 3
    # The origin has a thread for each connection, we one for looking names up.
    assert threading.active_count() - before <= 3


def test_an_answer_of_any_status_is_an_answer(origin: Origin) -> None:
    origin.misbehave("/x", misbehaviour.Status(code=503, headers={"Retry-After": "7"}))
    upstream, body = fetch(allowing(origin.host_port), origin.url("/x"))
    assert (upstream.status, upstream.headers["retry-AFTER"], body) == (503, "7", b"status")


def test_secrets_stay_with_the_origin_that_they_are_for(origin: Origin, tmp_path: Path) -> None:
    origin.put("/y", b"y")
    with Origin(tmp_path) as first:
        first.misbehave("/x", misbehaviour.Redirect(to=origin.url("/y")))
        policy = allowing(origin.host_port, first.host_port)
        upstream, _ = fetch(policy, first.url("/x"), Authorization="Bearer x", Range="bytes=0-", If_None_Match='"a"')
    assert upstream.url == origin.url("/y")
    sent = origin.requests[0].headers
    assert (sent.get("Authorization"), sent["Range"], sent["If-None-Match"]) == (None, "bytes=0-", '"a"')


def test_a_redirect_may_be_an_answer_too(origin: Origin) -> None:
    origin.misbehave("/x", misbehaviour.Redirect(to=f"{PUBLIC}/y"))

    async def work(fetcher: AsyncFetcher) -> tuple[int, str]:
        upstream = await fetcher.open(origin.url("/x"), follow=False, method="HEAD")
        upstream.abort()
        return upstream.status, upstream.headers["Location"]

    assert run(lambda: AsyncFetcher(allowing(origin.host_port)), work) == (302, f"{PUBLIC}/y")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://localhost/", "http://0x7f.1/", "ftp://93.184.216.34/"])
def test_addresses_are_refused_at_each_hop(origin: Origin, url: str) -> None:
    origin.misbehave("/x", misbehaviour.Redirect(to=url))
    for start in (url, origin.url("/x")):
        with pytest.raises(AddressRefused):
            fetch(allowing(origin.host_port), start)


def test_names_are_checked_where_they_are_connected_to(origin: Origin) -> None:
    """`localhost.` isn't refused by its form here, but by what it resolves to."""
    port = origin.host_port[1]
    with pytest.raises(AddressRefused, match="not public"):
        fetch(allowing(("127.0.0.1", port)), f"http://{socket.gethostname()}:{port}/")


def test_accounts_of_operators_may_be_anywhere(origin: Origin) -> None:
    url = origin.put("/a.mp4", b"ours")

    async def work(fetcher: AsyncFetcher) -> bytes:
        return await (await fetcher.open(url)).read(10)

    assert run(lambda: AsyncFetcher(trusted=True), work) == b"ours"


def test_redirects_without_end_are_given_up(origin: Origin) -> None:
    origin.misbehave("/x", misbehaviour.Redirect(to="/x"))
    with pytest.raises(TooManyRedirects):
        fetch(allowing(origin.host_port), origin.url("/x"))
    assert origin.count("/x") == 6


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def trickling(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nA: ")
    while True:
        connection.sendall(b"A")
        time.sleep(0.05)


@pytest.mark.parametrize("conversation", [silent, trickling])
def test_a_header_takes_too_long(conversation: Conversation) -> None:
    with RawServer(conversation) as server, pytest.raises(TimedOut, match="too long"):
        fetch(allowing(server.host_port), server.url())


def test_nobody_there_and_no_http_are_told_apart() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="it refuses connections") as refusal:
            fetch(allowing(taken.getsockname()), "http://{}:{}/".format(*taken.getsockname()))
        assert not isinstance(refusal.value, TimedOut)
    said = {
        b"": "it closed the connection",
        b"SSH-2.0\r\n\r\n": "not valid HTTP",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 99_999: "too large",
    }
    for text, why in said.items():
        server = RawServer(lambda _: None)
        server._conversation = answering(text)(server)
        with server, pytest.raises(Unreachable, match=why):
            fetch(allowing(server.host_port), server.url())


def test_texts_hold_no_query(origin: Origin) -> None:
    origin.misbehave("/x", misbehaviour.Redirect(to="http://127.0.0.1:1/y?token=abc"))
    for url in (origin.url("/x?key=xyz"), "http://127.0.0.1:1/?key=xyz"):
        with pytest.raises(AddressRefused) as refusal:
            fetch(allowing(origin.host_port), url)
        assert not {"abc", "xyz"} & set(str(refusal.value).replace("=", " ").split())


@pytest.mark.parametrize("how", [misbehaviour.Cut(after=100_000), misbehaviour.Stall(after=100_000)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_stops_is_cut(origin: Origin, how: misbehaviour.Misbehaviour, chunked: bool) -> None:
    url = origin.put("/a.mp4", CONTENT)
    origin.misbehave("/a.mp4", how, *([misbehaviour.Chunked()] if chunked else []))
    with pytest.raises(Cut, match="stopped in the middle"):
        fetch(allowing(origin.host_port), url)


def test_a_body_of_next_to_nothing_is_cut(origin: Origin) -> None:
    url = origin.put("/a.mp4", CONTENT)
    origin.misbehave("/a.mp4", misbehaviour.Slow(bytes_per_second=100))
    with pytest.raises(Cut, match="next to nothing"):
        fetch(allowing(origin.host_port), url)


def test_small_documents_are_read_up_to_a_limit(origin: Origin) -> None:
    url = origin.put("/a", CONTENT)
    with pytest.raises(BodyTooLarge):
        fetch(allowing(origin.host_port), url, limit=len(CONTENT) - 1)
    assert fetch(allowing(origin.host_port), url, limit=len(CONTENT))[1] == CONTENT


def test_no_more_is_read_than_is_taken() -> None:
    async def work(fetcher: AsyncFetcher) -> None:
        upstream = await fetcher.open(f"{server.base_url}/endless")
        chunks = upstream.chunks()
        taken = len(await anext(chunks))
        sent = -1
        while sent != (sent := server.sent):
            await asyncio.sleep(0.3)
        # What the kernel holds for both sides, and some hundred kilobytes of ours.
        assert server.sent - taken < 16_000_000
        upstream.abort()
        upstream.abort()
        while server.now:
            await asyncio.sleep(0.01)

    with Endless() as server:
        run(lambda: AsyncFetcher(allowing(server.host_port)), work)


@pytest.mark.parametrize("from_a_thread", [False, True])
def test_the_upstream_is_left_without_a_goodbye(
    from_a_thread: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = Certificate.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))

    async def work(fetcher: AsyncFetcher) -> None:
        upstream = await fetcher.open(f"{server.base_url}/endless")
        await anext(upstream.chunks())
        if from_a_thread:
            await asyncio.to_thread(upstream.abort)
        else:
            upstream.abort()
        async with asyncio.timeout(30):
            while not server.left:
                await asyncio.sleep(0.01)

    with Endless(certificate) as server:
        run(lambda: AsyncFetcher(allowing(server.host_port)), work)


def test_a_certificate_that_nobody_knows_is_an_error_of_tls(tmp_path: Path) -> None:
    with Endless(Certificate.make(tmp_path)) as server, pytest.raises(Unreachable, match="TLS failed"):
        fetch(allowing(server.host_port), f"{server.base_url}/endless")


def test_a_handshake_without_an_answer_takes_too_long(tmp_path: Path) -> None:
    policy = dataclasses.replace(IMPATIENT, connect_timeout=0.5)
    with RawServer(silent) as server, pytest.raises(TimedOut):
        fetch(allowing(server.host_port, like=policy), "https://{}:{}/".format(*server.host_port))


def test_the_operators_proxy_is_asked_for_the_checked_address(origin: Origin) -> None:
    origin.put("/x", b"hello")
    with TunnelProxy(origin.host_port) as proxy:
        policy = dataclasses.replace(IMPATIENT, proxy=proxy.proxy_url)
        assert fetch(policy, f"{PUBLIC}/x?y=1")[1] == b"hello"
        with pytest.raises(AddressRefused):
            fetch(policy, "http://10.0.0.1/")
        proxy.unreachable = {"93.184.216.34:80"}
        with pytest.raises(Unreachable, match="FETCH_PROXY can't reach it"):
            fetch(policy, f"{PUBLIC}/x")
    assert proxy.targets == ["93.184.216.34:80"] * 2
    assert origin.requests[0].headers["Host"] == "93.184.216.34"


def test_tls_inside_the_tunnel_names_the_host() -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def talk(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True)

    with RawServer(talk) as server, TunnelProxy(server.host_port) as proxy:
        policy = dataclasses.replace(IMPATIENT, proxy=proxy.proxy_url)
        with pytest.raises(Unreachable, match="TLS failed"):
            fetch(policy, "https://93.184.216.34/x")
    assert (proxy.targets, names) == (["93.184.216.34:443"], [None])


def test_each_event_loop_has_a_fetcher_of_its_own() -> None:
    async def made() -> AsyncFetcher:
        assert fetcher_for(IMPATIENT) is fetcher_for(Policy(**IMPATIENT.__dict__))
        assert fetcher_for(IMPATIENT) is not fetcher_for(Policy())
        return fetcher_for(IMPATIENT)

    assert asyncio.run(made()) is not asyncio.run(made())
