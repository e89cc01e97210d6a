"""Through the guard proxy nothing reaches an address that the policy doesn't allow."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from archive_site.addresses import Policy
from archive_site.guard_proxy import GuardProxy
from tests.servers.origin import Body, Origin, Stall
from tests.servers.proxy import TunnelProxy
from tests.servers.raw import RawServer


@pytest.fixture
def guard(origin: Origin) -> Iterator[GuardProxy]:
    """One that may reach the origin and nothing else on this host."""
    with GuardProxy(policy_for(origin)) as running:
        yield running


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Origin]:
    """Another server on this host, which nobody allowed."""
    folder = tmp_path / "inside"
    folder.mkdir()
    with Origin(folder) as running:
        running.put("/secret", b"secret")
        yield running


def policy_for(origin: Origin) -> Policy:
    return Policy(frozenset({origin.host_port}), connect_timeout=2, read_timeout=2)


def get(guard: GuardProxy, url: str, **more: object) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, proxies={"http": guard.url, "https": guard.url}, timeout=5, **more)  # type: ignore[arg-type]


def raw(guard: GuardProxy, request: str, *, password: str | None = None) -> socket.socket:
    """A connection on which this was said, with the right credential unless told otherwise."""
    pair = f"{guard.username}:{guard.password if password is None else password}"
    token = base64.b64encode(pair.encode()).decode()
    sock = socket.create_connection(("127.0.0.1", guard.port), timeout=5)
    sock.sendall(request.replace("AUTH", f"Proxy-Authorization: Basic {token}").encode())
    return sock


def said(sock: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    with sock:
        return b"".join(iter(lambda: sock.recv(65536), b""))


def tunnel(guard: GuardProxy, authority: str) -> tuple[socket.socket, bytes]:
    sock = raw(guard, f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nAUTH\r\n\r\n")
    return sock, sock.recv(65536)


def test_an_allowed_origin_is_reached(guard: GuardProxy, origin: Origin) -> None:
    answer = get(guard, origin.put("/x", b"hello") + "?a=1", headers={"Referer": "http://a/"})
    assert (answer.status_code, answer.content) == (200, b"hello")
    assert origin.requests[0].headers["Referer"] == "http://a/"


def test_the_origin_sees_nothing_of_the_credential(guard: GuardProxy, origin: Origin) -> None:
    get(guard, origin.put("/x", b"hello"))
    assert not [name for name in origin.requests[0].headers if name.lower().startswith("proxy")]


def test_a_tunnel_carries_bytes_both_ways(guard: GuardProxy, origin: Origin) -> None:
    origin.put("/x", b"hello")
    sock, head = tunnel(guard, "{}:{}".format(*origin.host_port))
    assert head.startswith(b"HTTP/1.1 200")
    sock.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert said(sock).endswith(b"hello")


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_credential_is_refused(guard: GuardProxy, origin: Origin, password: str) -> None:
    for line in (f"GET {origin.put('/x', b'hello')} HTTP/1.1", "CONNECT {}:{} HTTP/1.1".format(*origin.host_port)):
        answer = said(raw(guard, f"{line}\r\nAUTH\r\n\r\n", password=password))
        assert answer.startswith(b"HTTP/1.1 407")
        assert b'Proxy-Authenticate: Basic realm="guard"' in answer
    assert not origin.requests


def test_no_credential_is_refused(guard: GuardProxy, origin: Origin) -> None:
    assert said(raw(guard, f"GET {origin.url('/x')} HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 407")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{}/secret", "http://localhost:{}/secret", "http://127.1:{}/secret",
        "http://[::ffff:127.0.0.1]:{}/secret", "http://0:{}/secret", "http://2130706433:{}/secret",
        "http://127.0.0.1.:{}/secret",
    ],
)  # fmt: skip
def test_a_private_address_is_refused(guard: GuardProxy, inside: Origin, url: str) -> None:
    target = url.format(inside.host_port[1])
    answer = said(raw(guard, f"GET {target} HTTP/1.1\r\nHost: example.com\r\nAUTH\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 403")
    assert tunnel(guard, target.removeprefix("http://").removesuffix("/secret"))[1].startswith(b"HTTP/1.1 403")
    assert not inside.requests


def test_why_an_address_was_refused_is_remembered(guard: GuardProxy, inside: Origin) -> None:
    get(guard, inside.url("/secret?token=1"))
    assert guard.refusals == [
        "Address 127.0.0.1 of host 127.0.0.1 is not public. "
        f"Add 127.0.0.1:{inside.host_port[1]} to FETCH_ALLOW_HOSTS if you mean to fetch from it."
    ]


@pytest.mark.parametrize(
    "line",
    [
        "GET /secret HTTP/1.1", "GET https://127.0.0.1/ HTTP/1.1", "GET file:///etc/passwd HTTP/1.1",
        "GET ftp://8.8.8.8/ HTTP/1.1", "CONNECT 127.0.0.1 HTTP/1.1", "CONNECT 8.8.8.8@127.0.0.1:80 HTTP/1.1",
        "CONNECT http://127.0.0.1:80 HTTP/1.1", "CONNECT :80 HTTP/1.1",
    ],
)  # fmt: skip
def test_an_odd_request_is_refused(guard: GuardProxy, line: str) -> None:
    assert said(raw(guard, f"{line}\r\nHost: 127.0.0.1\r\nAUTH\r\n\r\n")).startswith(b"HTTP/1.1 403")


def test_the_host_header_does_not_choose_the_server(guard: GuardProxy, origin: Origin, inside: Origin) -> None:
    origin.put("/x", b"hello")
    lie = f"Host: 127.0.0.1:{inside.host_port[1]}"
    assert said(raw(guard, f"GET {origin.url('/x')} HTTP/1.1\r\n{lie}\r\nAUTH\r\n\r\n")).endswith(b"hello")
    assert origin.requests[0].headers["Host"] == f"127.0.0.1:{origin.host_port[1]}"


def test_a_second_request_on_a_connection_reaches_nobody(guard: GuardProxy, origin: Origin, inside: Origin) -> None:
    origin.put("/x", b"hello")
    both = "".join(
        f"GET {url} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nAUTH\r\n\r\n"
        for url in (origin.url("/x"), inside.url("/secret"), origin.url("/x"))
    )
    answer = said(raw(guard, both))
    assert answer.endswith(b"hello")
    assert b"Connection: close" in answer
    assert (len(origin.requests), len(inside.requests)) == (1, 0)


def test_a_body_of_unknown_length_is_not_forwarded(guard: GuardProxy, origin: Origin) -> None:
    head = f"POST {origin.url('/x')} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nAUTH\r\n\r\n0\r\n\r\n"
    assert said(raw(guard, head)).startswith(b"HTTP/1.1 411")
    assert not origin.requests


def test_a_server_that_nobody_runs_is_a_bad_gateway(origin: Origin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with GuardProxy(Policy(frozenset({("127.0.0.1", port)}), connect_timeout=2)) as guard:
        assert get(guard, f"http://127.0.0.1:{port}/").status_code == 502


def test_the_operators_proxy_is_asked_for_the_checked_address(origin: Origin) -> None:
    origin.put("/x", b"hello")
    with TunnelProxy(origin.host_port) as proxy, GuardProxy(Policy(proxy=proxy.proxy_url)) as guard:
        assert get(guard, "http://93.184.216.34/x").content == b"hello"
        assert get(guard, "http://10.0.0.1/x").status_code == 403
    assert proxy.targets == ["93.184.216.34:80"]


def test_a_mute_server_is_a_bad_gateway() -> None:
    with RawServer(socket.socket.close) as server, GuardProxy(Policy(frozenset({server.host_port}))) as guard:
        assert get(guard, server.url("/")).status_code == 502


def test_more_bytes_than_allowed_end_everything(origin: Origin) -> None:
    url = origin.put("/big", b"x" * 8_000_000)
    with GuardProxy(policy_for(origin), max_bytes=1_000_000) as guard:
        with pytest.raises(requests.RequestException):
            get(guard, url)
        assert guard.exhausted
        assert get(guard, url).status_code == 403


def test_no_more_connections_than_allowed_at_once(origin: Origin) -> None:
    origin.misbehave("/slow", Body(content=b"x" * 100), Stall(after=10))
    with GuardProxy(policy_for(origin), max_connections=1) as guard:
        first = raw(guard, f"GET {origin.url('/slow')} HTTP/1.1\r\nHost: a\r\nAUTH\r\n\r\n")
        assert first.recv(100)
        with pytest.raises(requests.RequestException):
            get(guard, origin.url("/x"))
        first.close()


def test_its_end_ends_every_connection(origin: Origin) -> None:
    origin.misbehave("/slow", Body(content=b"x" * 100), Stall(after=10))
    before = threading.active_count()
    with GuardProxy(Policy(frozenset({origin.host_port}), read_timeout=60)) as guard:
        sock = raw(guard, f"GET {origin.url('/slow')} HTTP/1.1\r\nHost: a\r\nAUTH\r\n\r\n")
        assert sock.recv(100)
        assert threading.active_count() > before
    assert b"x" * 11 not in said(sock)


def test_a_silent_server_is_left_after_the_time_out(origin: Origin) -> None:
    origin.misbehave("/slow", Body(content=b"x" * 100), Stall(after=10))
    with GuardProxy(Policy(frozenset({origin.host_port}), read_timeout=0.3)) as guard:
        answer = said(raw(guard, f"GET {origin.url('/slow')} HTTP/1.1\r\nHost: a\r\nAUTH\r\n\r\n"))
    assert answer.endswith(b"x" * 10)
