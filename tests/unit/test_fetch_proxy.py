"""The operator's proxy is asked for addresses that were checked here, and its credentials are told to nobody."""

from __future__ import annotations

import base64
import socket
import ssl
from contextlib import suppress

import pytest

from archive_site.addresses import Endpoint
from archive_site.fetch_errors import ProxyTrouble
from archive_site.proxy_route import Proxy, open_tunnel
from archive_site.safe_http import AddressRefused, Fetcher, Policy, Unreachable, read_all
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.proxy import TunnelProxy
from tests.servers.raw import RawServer

PUBLIC = "http://93.184.216.34"


def test_proxy_is_asked_for_the_address(origin: Origin) -> None:
    origin.put("/x", b"hello")
    with TunnelProxy(origin.host_port) as proxy, Fetcher(Policy(proxy=proxy.proxy_url)) as fetcher:
        for _ in range(2):
            with fetcher.get(f"{PUBLIC}/x?y=1") as response:
                assert read_all(response, 100) == b"hello"
    assert proxy.targets == ["93.184.216.34:80"]
    assert origin.requests[0].headers["Host"] == "93.184.216.34"


def test_tls_inside_the_tunnel_names_the_host() -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def talk(connection: socket.socket) -> None:
        with suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    with RawServer(talk) as server, TunnelProxy(server.host_port) as proxy:
        endpoints = [Endpoint(socket.AF_INET, ("93.184.216.34", 443))]
        with open_tunnel(Proxy.parse(proxy.proxy_url), endpoints, 2) as sock, pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(sock, server_hostname="a.example")
        with Fetcher(Policy(proxy=proxy.proxy_url)) as fetcher, pytest.raises(Unreachable, match="TLS failed"):
            fetcher.get("https://93.184.216.34/x")
    assert proxy.targets == ["93.184.216.34:443"] * 2
    assert names == ["a.example", None]


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://127.0.0.1/", "http://[::1]/", "http://localhost/"])
def test_private_address_is_refused_before_the_proxy_hears_of_it(origin: Origin, url: str) -> None:
    origin.misbehave("/a", servers.Redirect(to=url))
    with TunnelProxy(origin.host_port) as proxy, Fetcher(Policy(proxy=proxy.proxy_url)) as fetcher:
        for start in (url, f"{PUBLIC}/a"):
            with pytest.raises(AddressRefused):
                fetcher.get(start)
    assert proxy.targets == ["93.184.216.34:80"]


def test_allowed_origin_is_fetched_past_the_proxy(origin: Origin) -> None:
    policy = Policy(frozenset({origin.host_port}), proxy="http://127.0.0.1:9")
    with Fetcher(policy) as fetcher:
        fetcher.get(origin.put("/x", b"hello")).close()
    assert origin.count("/x") == 1


def test_proxy_gets_its_credentials_and_the_origin_does_not(origin: Origin) -> None:
    origin.put("/x", b"hello")
    with TunnelProxy(origin.host_port, base64.b64encode(b"me@home:p:w").decode()) as proxy:
        url = proxy.proxy_url.replace("//", "//me%40home:p%3Aw@")
        with Fetcher(Policy(proxy=url)) as fetcher:
            fetcher.get(f"{PUBLIC}/x").close()
    assert not [name for name in origin.requests[0].headers if name.lower().startswith("proxy")]


def test_wrong_credentials_are_said_without_telling_them(origin: Origin) -> None:
    with TunnelProxy(origin.host_port, "bWU6cHc=") as proxy:
        policy = Policy(proxy=proxy.proxy_url.replace("//", "//me:secret@"))
        with Fetcher(policy) as fetcher, pytest.raises(Unreachable, match=r"user name and password \(407\)") as caught:
            fetcher.get(f"{PUBLIC}/x")
    assert "secret" not in f"{caught.value} {policy} {Proxy.parse(policy.proxy or '')}"


def test_address_that_the_proxy_does_not_reach_gives_way_to_the_next(origin: Origin) -> None:
    endpoints = [
        Endpoint(socket.AF_INET6, ("2600::1", 80, 0, 0)),
        Endpoint(socket.AF_INET, ("93.184.216.34", 80)),
    ]
    with TunnelProxy(origin.host_port) as proxy:
        proxy.unreachable = {"93.184.216.34:80"}
        open_tunnel(Proxy.parse(proxy.proxy_url), endpoints, 2).close()
    assert proxy.targets == ["93.184.216.34:80", "[2600::1]:80"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", r"no CONNECT to port 80 of this address \(403\)"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", r"can't reach it \(503\)"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", "no proper answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, "no proper answer"),
        (b"SSH-2.0", "no proper answer"),
    ],
)
def test_proxy_that_gives_no_tunnel_is_named(origin: Origin, answer: bytes, words: str) -> None:
    with TunnelProxy(origin.host_port, answer=answer) as proxy, pytest.raises(ProxyTrouble, match=words):
        open_tunnel(Proxy.parse(proxy.proxy_url), [Endpoint(socket.AF_INET, ("93.184.216.34", 80))], 2)


def test_proxy_that_is_not_there_is_named() -> None:
    with Fetcher(Policy(proxy="http://127.0.0.1:9")) as fetcher, pytest.raises(Unreachable, match="proxy of FETCH_P"):
        fetcher.get(f"{PUBLIC}/x")


def test_name_that_only_the_proxy_might_know_is_explained(origin: Origin) -> None:
    with TunnelProxy(origin.host_port) as proxy, Fetcher(Policy(proxy=proxy.proxy_url)) as fetcher:
        with pytest.raises(Unreachable, match=r"DNS server|too long"):
            fetcher.get("http://does-not-exist.invalid/")
        assert proxy.targets == []


@pytest.mark.parametrize(
    "url", ["", "proxy:3128", "https://a:3128", "http://a", "http://a:3128/x", "socks5://a:1", "http://a:s"]
)
def test_proxy_url_that_is_not_one_stops_the_start(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be http://host:port"):
        Proxy.parse(url)
