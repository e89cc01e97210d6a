"""The site as `make run` starts it, before origins of every kind: what the tests of `/proxy` share."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import requests

from tests.servers.endless import Endless
from tests.servers.origin import Origin
from tests.servers.raw import RawServer
from tests.servers.site import Site
from tests.servers.tls import Certificate

DEADLINE = 60.0
PLAYLIST = "application/vnd.apple.mpegurl"
T = TypeVar("T")


class Odd(RawServer):
    """Says what a test wants at the moment."""

    def __init__(self) -> None:
        super().__init__(self._say)
        self._told: Callable[[socket.socket], None] = lambda _: None

    def say(self, *pieces: bytes, hold: bool = False) -> str:
        """Read the request and send these bytes, then close, or `hold` the line. The URL to ask for."""

        def talk(connection: socket.socket) -> None:
            self.read_head(connection)
            for piece in pieces:
                connection.sendall(piece)
            if hold:
                self.closing.wait(DEADLINE)

        self._told = talk
        return self.url("/odd.mp4")

    def _say(self, connection: socket.socket) -> None:
        self._told(connection)


@dataclass
class Stage:
    """What is running."""

    site: Site
    origin: Origin
    odd: Odd
    endless: Endless
    endless_tls: Endless

    def get(self, url: str, method: str = "GET", **headers: str) -> requests.Response:
        """What a viewer gets of an upstream's URL through `/proxy`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(method, self.site.proxied(url), headers=sent, timeout=DEADLINE)

    def viewer(self, url: str, receive_buffer: int = 0) -> socket.socket:
        """A viewer who has asked for an upstream's URL, and reads nothing unless told to."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(DEADLINE)
        sock.connect(("127.0.0.1", self.site.port))
        target = self.site.proxied(url).removeprefix(self.site.base_url)
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return sock


@pytest.fixture(scope="module")
def stage(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All of it, for the tests of one module. No test of these has to do with the database."""
    folder: Path = tmp_path_factory.mktemp("stage")
    certificate = Certificate.make(folder)
    (folder / "origin").mkdir()
    with ExitStack() as running:
        origin = running.enter_context(Origin(folder / "origin"))
        odd = running.enter_context(Odd())
        endless = running.enter_context(Endless())
        endless_tls = running.enter_context(Endless(certificate))
        allowed = [server.host_port for server in (origin, odd, endless, endless_tls)]
        with open_files(512):
            site = running.enter_context(Site(folder / "site", allowed, SSL_CERT_FILE=str(certificate.path)))
        yield Stage(site, origin, odd, endless, endless_tls)


@contextmanager
def open_files(most: int) -> Iterator[None]:
    """So many may be open in this process, and in those that it starts unless they ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def eventually(look: Callable[[], T | None], seconds: float = DEADLINE) -> T:
    """The first true thing that `look` gives; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found


def path_of(url: str) -> str:
    """For the origin's own books."""
    return urlsplit(url).path
