"""Segments are asked for in the order in which they leave, and nobody reads on when the call has ended."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from pathlib import Path

import pytest

from archive_site.safe_http import Policy
from queue_app.downloaders import Source, download
from queue_app.failures import Cancelled
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.raw import RawServer
from tests.servers.streams import IV
from tests.unit.streams import LIMITS, fetch

COUNT = 20


def stream(origin: Origin, path: str, name: str, extra: str = "") -> None:
    """Twenty segments of a second."""
    lines = "".join(f"#EXTINF:1,\n{name}{n}.ts\n" for n in range(COUNT))
    origin.put(path, f"#EXTM3U\n{extra}{lines}#EXT-X-ENDLIST\n".encode())
    for n in range(COUNT):
        origin.put(f"/{name}{n}.ts", b"G" + bytes(187))


def threads() -> int:
    """How many fetch segments."""
    return sum(thread.name == "hls-segment" for thread in threading.enumerate())


def all_leave() -> bool:
    """Do they within ten seconds?"""
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    return threads() == 0


def test_sound_is_fetched_as_early_as_its_pictures(origin: Origin, tmp_path: Path) -> None:
    media = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n",URI="a.m3u8"\n'
    origin.put("/m.m3u8", f'#EXTM3U\n{media}#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8\n'.encode())
    stream(origin, "/v.m3u8", "s")
    stream(origin, "/a.m3u8", "b")
    fetch(origin, "/m.m3u8", tmp_path / "job", dataclasses.replace(LIMITS, hls_connections=1))
    asked = [seen.path for seen in origin.requests if seen.path.endswith(".ts")]
    assert sorted(asked) == sorted(f"/{name}{n}.ts" for n in range(COUNT) for name in "sb")
    # Its three threads take the one turn as they come.
    for n in range(COUNT):
        assert abs(asked.index(f"/s{n}.ts") - asked.index(f"/b{n}.ts")) <= 3


@pytest.mark.parametrize("silent", ["/key", "/s0.ts"])
def test_nobody_reads_on_when_the_call_has_ended(silent: str, origin: Origin, tmp_path: Path) -> None:
    stream(origin, "/v.m3u8", "s", extra=f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV={IV}\n')
    origin.put("/key", bytes(16))
    origin.misbehave(silent, servers.Stall(after=1))

    def cancel(_done: int, _total: int | None) -> None:
        if origin.served(silent):
            time.sleep(0.2)
            raise Cancelled

    policy = Policy(frozenset({origin.host_port}), read_timeout=120)
    with pytest.raises(Cancelled):
        download(Source(origin.url("/v.m3u8")), tmp_path, policy=policy, limits=LIMITS, progress=cancel)
    assert all_leave()


def test_an_answer_that_comes_after_the_end_is_not_read(origin: Origin, tmp_path: Path) -> None:
    ended = threading.Event()

    def late(connection: socket.socket) -> None:
        server.read_head(connection)
        ended.wait(20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 188\r\n\r\nG")
        server.closing.wait(60)

    def cancel(_done: int, _total: int | None) -> None:
        if server.heads:
            raise Cancelled

    with RawServer(late) as server:
        origin.put("/v.m3u8", f"#EXTM3U\n#EXTINF:1,\n{server.url('/s.ts')}\n#EXT-X-ENDLIST\n".encode())
        policy = Policy(frozenset({origin.host_port, server.host_port}), read_timeout=120)
        with pytest.raises(Cancelled):
            download(Source(origin.url("/v.m3u8")), tmp_path, policy=policy, limits=LIMITS, progress=cancel)
        ended.set()
        assert all_leave()
