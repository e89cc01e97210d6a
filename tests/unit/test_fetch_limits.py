"""A source that is slow, endless or packed without measure holds nobody up and fills no memory."""

from __future__ import annotations

import gzip
import itertools
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from archive_site.safe_http import (
    BodyTooLarge,
    Cut,
    Fetcher,
    Policy,
    TooManyRedirects,
    Unreachable,
    read_all,
    read_body,
)
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.raw import RawServer

OK = b"HTTP/1.1 200 OK\r\n"
MIB = 1024 * 1024


@dataclass
class Saying:
    """What a raw server says after a request: `first`, then `again` and again with pauses, until the client leaves."""

    first: bytes = b""
    again: bytes = b""
    pause: float = 0.0
    sent: int = 0
    server: RawServer = field(init=False)

    def __call__(self, connection: socket.socket) -> None:
        if self.first != b"at once":
            self.server.read_head(connection)
            connection.sendall(self.first)
        while self.again and not self.server.closing.wait(self.pause):
            connection.sendall(self.again)
            self.sent += len(self.again)
        if not self.again:
            # What is said may be all there is, or a silence: either way the client decides how long it listens.
            self.server.closing.wait(20)


Say = Callable[..., Saying]


@pytest.fixture
def say() -> Iterator[Say]:
    """Starts servers that say things."""
    with ExitStack() as stack:

        def start(first: bytes = b"", again: bytes = b"", pause: float = 0.0) -> Saying:
            saying = Saying(first, again, pause)
            saying.server = stack.enter_context(RawServer(saying))
            return saying

        yield start


def fetch(saying: Saying, *, scheme: str = "http", **patience: float) -> list[bytes]:
    policy = Policy(frozenset({saying.server.host_port}), **patience)  # type: ignore[arg-type]
    url = saying.server.url().replace("http:", f"{scheme}:")
    with Fetcher(policy) as fetcher, fetcher.get(url) as response:
        return list(read_body(response))


def test_silence_before_the_first_byte_ends(say: Say) -> None:
    with pytest.raises(Unreachable, match="too long"):
        fetch(say(), first_byte_timeout=0.2)


def test_silence_in_the_middle_of_a_body_ends(say: Say) -> None:
    with pytest.raises(Cut, match="too long"):
        fetch(say(OK + b"Content-Length: 9\r\n\r\nx"), read_timeout=0.2)


def test_first_byte_may_take_longer_than_a_stall(say: Say) -> None:
    with pytest.raises(Cut):
        fetch(say(OK + b"Content-Length: 9\r\n\r\n", b"x", pause=0.3), first_byte_timeout=5, read_timeout=0.1)


def test_header_that_trickles_ends(say: Say) -> None:
    with pytest.raises(Unreachable, match="too long"):
        fetch(say(OK + b"X: ", b"x", pause=0.05), head_timeout=0.4)


def test_body_that_trickles_ends(say: Say) -> None:
    with pytest.raises(Cut, match="next to nothing"):
        fetch(say(OK + b"Content-Length: 9999\r\n\r\n", b"x", pause=0.05), slow_seconds=0.4)


def test_body_that_makes_progress_may_take_its_time(say: Say) -> None:
    saying = say(OK + b"Content-Length: 20000\r\n\r\n", b"x" * 1000, pause=0.05)
    pieces = fetch(saying, slow_seconds=0.3, slow_bytes=1000)
    assert sum(map(len, pieces)) == 20_000


def test_time_that_the_reader_takes_is_not_the_sources(say: Say) -> None:
    saying = say(OK + b"Content-Length: 6\r\n\r\n", b"x", pause=0.01)
    policy = Policy(frozenset({saying.server.host_port}), slow_seconds=0.3)
    with Fetcher(policy) as fetcher, fetcher.get(saying.server.url()) as response:
        body = b""
        for piece in read_body(response):
            body += piece
            saying.server.closing.wait(0.1)
    assert body == b"xxxxxx"


@pytest.mark.parametrize(("first", "again"), [("", b""), ("at once", b"\x16\x03\x03\x40"), ("at once", b"x")])
def test_tls_that_never_comes_about_ends(say: Say, first: str, again: bytes) -> None:
    with pytest.raises(Unreachable):
        fetch(say(first.encode(), again, pause=0.05), scheme="https", connect_timeout=0.5)


def test_handshake_that_trickles_ends(say: Say) -> None:
    saying = say(b"at once")

    def talk(connection: socket.socket) -> None:
        # The beginning of a handshake message of 16 000 bytes, then a byte at a time.
        connection.sendall(b"\x16\x03\x03\x3e\x80\x02\x00\x3e\x7c\x03\x03")
        saying.again = b"\x00"
        Saying.__call__(saying, connection)

    saying.server._conversation = talk
    saying.pause = 0.05
    with pytest.raises(Unreachable, match="too long"):
        fetch(saying, scheme="https", connect_timeout=0.5)


@pytest.mark.parametrize(
    "first",
    [b"", OK, OK + b"X: ", OK + b"Transfer-Encoding: chunked\r\n\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"],
    ids=["status line", "headers", "one header", "chunk size", "trailers"],
)
@pytest.mark.parametrize("again", [b"x" * 4096, b"x: y\r\n" * 500, b"1;" + b"x" * 4000])
def test_lines_without_end_are_not_read_for_ever(say: Say, first: bytes, again: bytes) -> None:
    saying = say(first, again)
    with pytest.raises((Unreachable, Cut)):
        fetch(saying)
    # What the kernel buffers on both sides comes on top of what was read.
    assert saying.sent < 16 * MIB


def test_interim_answers_without_end_are_not_read_for_ever(say: Say) -> None:
    with pytest.raises(Unreachable, match="header is too large"):
        fetch(say(b"", b"HTTP/1.1 100 Continue\r\n\r\n"))


def test_body_of_a_redirect_is_not_read(say: Say) -> None:
    saying = say(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"x" * MIB)
    with pytest.raises(TooManyRedirects):
        fetch(saying)
    assert saying.sent < 100 * MIB


def test_redirects_in_a_circle_end(origin: Origin) -> None:
    for here, there in itertools.pairwise(("/a", "/b", "/c", "/a")):
        origin.misbehave(here, servers.Redirect(to=there))
    with Fetcher(Policy(frozenset({origin.host_port}), max_redirects=4)) as fetcher, pytest.raises(TooManyRedirects):
        fetcher.get(origin.url("/a"))
    assert len(origin.requests) == 5


Answered = Callable[..., bytes]


@pytest.fixture
def read(origin: Origin) -> Iterator[Answered]:
    """Reads, as a small document, a body that the origin sends with a Content-Encoding."""
    with Fetcher(Policy(frozenset({origin.host_port}))) as fetcher:

        def whole(body: bytes, coding: str = "", limit: int = MIB, length: int | None = -1) -> bytes:
            headers = {"Content-Encoding": coding} if coding else {}
            origin.misbehave("/x", servers.Body(content=body, headers=headers, length=length))
            with fetcher.get(origin.url("/x")) as response:
                return read_all(response, limit)

        yield whole


@pytest.mark.parametrize("length", [-1, None])
def test_small_document_is_read_up_to_its_limit(read: Answered, length: int | None) -> None:
    assert read(b"x" * 100, limit=100, length=length) == b"x" * 100
    with pytest.raises(BodyTooLarge, match="larger than the 99 bytes"):
        read(b"x" * 100, limit=99, length=length)


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress), ("X-GZIP", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate),
        ("identity", bytes), ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("gzip", lambda body: gzip.compress(body) + bytes(100)),
    ],
)  # fmt: skip
def test_packed_document_is_unpacked(read: Answered, coding: str, packed: Callable[[bytes], bytes]) -> None:
    body = bytes(range(256)) * 3000
    assert read(packed(body), coding) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_packed_document_without_its_end_is_cut(read: Answered, coding: str) -> None:
    packed = gzip.compress if coding == "gzip" else zlib.compress
    with pytest.raises(Cut, match="no end"):
        read(packed(b"hello" * 100)[:-9], coding)


def test_broken_compression_is_cut(read: Answered) -> None:
    with pytest.raises(Cut, match="compression is broken"):
        read(b"this is no gzip", "gzip")


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip, gzip, gzip", "br", "zstd", "gzip,br", "x" * 999])
def test_coding_that_nobody_asked_for_is_not_unpacked(read: Answered, coding: str) -> None:
    with pytest.raises(Cut, match="not read"):
        read(b"x", coding)


def test_stream_in_such_a_coding_comes_as_it_is(origin: Origin) -> None:
    origin.misbehave("/x", servers.Body(content=b"packed", headers={"Content-Encoding": "br"}))
    with Fetcher(Policy(frozenset({origin.host_port}))) as fetcher, fetcher.get(origin.url("/x")) as response:
        assert list(read_body(response, decode=True)) == [b"packed"]


def test_packed_bomb_is_refused_at_the_limit(read: Answered) -> None:
    with pytest.raises(BodyTooLarge):
        read(gzip.compress(bytes(64 * MIB)), "gzip")


def test_packed_bomb_is_refused_without_a_limit(origin: Origin) -> None:
    bomb = gzip.compress(bytes(256 * MIB), compresslevel=1)
    origin.misbehave("/x", servers.Body(content=bomb, headers={"Content-Encoding": "gzip"}))
    with Fetcher(Policy(frozenset({origin.host_port}))) as fetcher, fetcher.get(origin.url("/x")) as response:
        pieces = read_body(response, decode=True)
        seen = sum(map(len, itertools.islice(pieces, 100)))
        with pytest.raises(BodyTooLarge, match="100 times"):
            list(pieces)
    assert 0 < seen <= 25 * MIB


def test_packed_nothing_without_end_is_refused(say: Say) -> None:
    saying = say(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 5000)
    policy = Policy(frozenset({saying.server.host_port}))
    with Fetcher(policy) as fetcher, fetcher.get(saying.server.url()) as response, pytest.raises(Cut, match="nothing"):
        read_all(response, MIB)
