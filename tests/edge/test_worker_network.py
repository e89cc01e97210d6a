"""The Worker and the network: what it can't reach, viewers who leave, stall or are slow."""

from __future__ import annotations

import hashlib
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from tests.edge.lookups import KEY, TOKEN, Lookups
from tests.servers.endless import Endless
from tests.servers.origin import Origin, Redirect
from tests.servers.raw import RawServer
from tests.servers.workerd import Edge

DEADLINE = 60.0
# It takes some milliseconds; the rest is for a machine that has other things to do.
PROMPTLY = 5.0
BLOCK, TIMES = hashlib.sha256(b"seed").digest() * (1 << 15), 200


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not look():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def viewer(edge: Edge, target: str, receive_buffer: int = 0) -> socket.socket:
    """One who has asked, and reads nothing unless told to."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(DEADLINE)
    sock.connect(("127.0.0.1", edge.port))
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def link(edge: Edge, url: str) -> str:
    return edge.proxied(url).removeprefix(edge.base_url)


@pytest.fixture
def endless() -> Iterator[Endless]:
    with Endless() as running:
        yield running


@pytest.fixture
def large() -> Iterator[RawServer]:
    """Sends 200 MB, as fast as they are taken from it."""

    def pour(connection: socket.socket) -> None:
        server.read_head(connection)
        length = len(BLOCK) * TIMES
        head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(TIMES):
            connection.sendall(BLOCK)

    with RawServer(pour) as server:
        yield server


def digest_of_large() -> str:
    expected = hashlib.sha256()
    for _ in range(TIMES):
        expected.update(BLOCK)
    return expected.hexdigest()


# --- The network of production ---


def test_what_is_private_can_not_be_reached_whatever_the_code_lets_pass(edge_production: Edge, origin: Origin) -> None:
    answer = requests.get(edge_production.proxied(origin.put("/v.mp4", b"private")), timeout=DEADLINE)
    assert (answer.status_code, answer.json()["error"]) == (502, "upstream_unreachable")
    assert origin.requests == []


def test_names_of_private_addresses_neither(start_edge: Callable[..., Edge], origin: Origin) -> None:
    """Of this machine's own name, which is an address in a private network or loopback."""
    name, port = socket.gethostname(), origin.host_port[1]
    edge = start_edge([(name, port)], network=["public"])
    answer = requests.get(edge.proxied(f"http://{name}:{port}/v.mp4"), timeout=DEADLINE)
    assert (answer.status_code, answer.json()["error"]) == (502, "upstream_unreachable")
    assert origin.requests == []


def test_a_redirect_is_no_way_around_it(start_edge: Callable[..., Edge], origin: Origin, endless: Endless) -> None:
    edge = start_edge([origin.host_port])
    origin.misbehave("/v.mp4", Redirect(to=f"{endless.base_url}/private.mp4"))
    answer = requests.get(edge.proxied(origin.url("/v.mp4")), timeout=DEADLINE)
    assert (answer.status_code, answer.json()["error"]) == (403, "address_refused")
    assert endless.heads == []


# --- Viewers ---


@pytest.mark.parametrize("path", ["/endless.mp4", "/endless", "/silent.mp4", "/silent"])
def test_the_upstream_is_left_when_the_viewer_leaves(
    start_edge: Callable[..., Edge], endless: Endless, path: str
) -> None:
    edge = start_edge([endless.host_port])
    sock = viewer(edge, link(edge, endless.base_url + path))
    eventually(lambda: endless.now == 1)
    if "endless" in path:
        for _ in range(100):
            sock.recv(65536)
    left = time.monotonic()
    sock.close()
    eventually(lambda: bool(endless.left))
    took = endless.left[0] - left
    print(f"{path}: the upstream was left after {took * 1000:.1f} ms")  # noqa: T201 (shown with -s)
    assert took < PROMPTLY
    eventually(lambda: endless.now == 0)


def test_who_never_answers_is_left_after_half_a_minute(start_edge: Callable[..., Edge], endless: Endless) -> None:
    """At Cloudflare as soon as the viewer leaves; workerd by itself learns of that only when it writes."""
    edge = start_edge([endless.host_port])
    answer = requests.get(edge.proxied(endless.base_url + "/mute.mp4"), timeout=2 * DEADLINE)
    assert (answer.status_code, answer.json()["error"]) == (504, "upstream_timeout")
    eventually(lambda: endless.now == 0)


@pytest.mark.parametrize("failover", ["exact", "start"])
def test_a_copy_is_left_when_the_viewer_leaves(
    start_edge: Callable[..., Edge], endless: Endless, origin: Origin, failover: str
) -> None:
    with Lookups(origin) as lookups:
        copies = [{"kind": "s3", "url": endless.base_url + "/endless.mp4"}]
        lookups.archived(b"", size=999_999_999_999, copies=copies)
        edge = start_edge([], STORE_URL=lookups.url(""), EDGE_TOKEN=TOKEN, FAILOVER=failover)
        sock = viewer(edge, f"/stream/{KEY}")
        for _ in range(100):
            sock.recv(65536)
        left = time.monotonic()
        sock.close()
        eventually(lambda: bool(endless.left))
        assert endless.left[0] - left < PROMPTLY


def test_a_slow_viewer_gets_every_byte_and_none_waits_in_memory(
    start_edge: Callable[..., Edge], large: RawServer
) -> None:
    edge = start_edge([large.host_port])
    requests.get(edge.url("/health"), timeout=DEADLINE)
    seen, base = hashlib.sha256(), edge.resident_bytes()
    peak = base
    with requests.get(edge.proxied(large.url("/v.mp4")), stream=True, timeout=DEADLINE) as answer:
        for number, piece in enumerate(answer.iter_content(1 << 20)):
            seen.update(piece)
            if number % 10 == 0:
                time.sleep(0.02)
                peak = max(peak, edge.resident_bytes())
    assert seen.hexdigest() == digest_of_large()
    print(f"memory: {base / 1e6:.1f} MB before, at most {peak / 1e6:.1f} MB")  # noqa: T201 (shown with -s)
    assert peak - base < 40_000_000


def test_neither_of_an_archived_video(start_edge: Callable[..., Edge], large: RawServer, origin: Origin) -> None:
    with Lookups(origin) as lookups:
        copies = [{"kind": "s3", "url": large.url("/v.mp4")}]
        lookups.archived(b"", size=len(BLOCK) * TIMES, copies=copies)
        edge = start_edge([], STORE_URL=lookups.url(""), EDGE_TOKEN=TOKEN)
        requests.get(edge.url("/health"), timeout=DEADLINE)
        seen, base = hashlib.sha256(), edge.resident_bytes()
        peak = base
        with requests.get(edge.url(f"/stream/{KEY}"), stream=True, timeout=DEADLINE) as answer:
            for number, piece in enumerate(answer.iter_content(1 << 20)):
                seen.update(piece)
                if number % 10 == 0:
                    time.sleep(0.02)
                    peak = max(peak, edge.resident_bytes())
        assert seen.hexdigest() == digest_of_large()
        print(f"memory: {base / 1e6:.1f} MB before, at most {peak / 1e6:.1f} MB")  # noqa: T201 (shown with -s)
        assert peak - base < 60_000_000


def test_stalled_viewers_hold_up_nobody(start_edge: Callable[..., Edge], endless: Endless, origin: Origin) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    edge = start_edge([endless.host_port, origin.host_port])
    origin.put("/v.mp4", b"video")
    with ExitStack() as stalled:
        for _ in range(200):
            stalled.enter_context(viewer(edge, link(edge, f"{endless.base_url}/endless.mp4"), receive_buffer=4096))
        eventually(lambda: endless.now == 200)
        began = time.monotonic()
        assert requests.get(edge.proxied(origin.url("/v.mp4")), timeout=DEADLINE).content == b"video"
        took = time.monotonic() - began
        print(f"the 201st viewer waited for {took * 1000:.1f} ms")  # noqa: T201 (shown with -s)
        assert took < PROMPTLY
