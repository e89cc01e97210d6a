"""Files go out by `sendfile` from gunicorn's own worker, and viewers can't tell (archive_site/web_worker.py).

The views are those of tests/servers/piece_site.py: there a file that passes through Python fails unless told otherwise.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from tests.servers.certificates import make_certificate
from tests.servers.hanging_disk import CannotMount, HangingDisk
from tests.servers.site import Site

SIZE = 24_000_000
HALF = SIZE // 2
WAY = "/stream/play"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pieces")


@pytest.fixture(scope="module")
def film(folder: Path) -> bytes:
    """The content of film.bin, larger than what sockets hold; half.bin ends in its middle."""
    content = hashlib.shake_128(b"film").digest(SIZE)
    (folder / "film.bin").write_bytes(content)
    (folder / "half.bin").write_bytes(content[:HALF])
    return content


@pytest.fixture(scope="module")
def site(folder: Path, film: bytes, django_db_setup: None) -> Iterator[Site]:
    with Site(folder, DJANGO_SETTINGS_MODULE="tests.servers.piece_site") as running:
        yield running


@pytest.fixture
def viewer(site: Site) -> Iterator[HTTPConnection]:
    """One connection, kept as long as the server keeps it."""
    with closing(HTTPConnection("127.0.0.1", site.port, timeout=120)) as connection:
        yield connection


@pytest.fixture(params=["/play", "/stream/play"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Django's middleware, and the short way of what players ask for (archive_site/async_direct.py)."""
    monkeypatch.setattr(sys.modules[__name__], "WAY", request.param)


def path_of(plan: list[Any], length: int | None = None, **more: object) -> str:
    words = {"plan": json.dumps(plan)} | ({} if length is None else {"length": length}) | more
    return f"{WAY}?{urlencode(words)}"


def get(viewer: HTTPConnection, plan: list[Any], length: int | None = None, **more: object) -> bytes:
    viewer.request("GET", path_of(plan, length, **more))
    return viewer.getresponse().read()


def asking(site: Site, path: str, *, version: str = "1.1", window: int | None = None) -> socket.socket:
    """A viewer who has asked and read nothing yet."""
    connection = socket.socket()
    if window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.settimeout(120)
    connection.connect(("127.0.0.1", site.port))
    connection.sendall(f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    return connection


def everything(connection: socket.socket) -> bytes:
    content = bytearray()
    while piece := connection.recv(1 << 20):
        content += piece
    return bytes(content)


def state(site: Site) -> dict[str, int]:
    answer: dict[str, int] = requests.get(site.url("/state"), timeout=60).json()
    return answer


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("way")
def test_a_file_arrives_whole_and_its_connection_is_kept(viewer: HTTPConnection, film: bytes) -> None:
    for _ in range(3):
        assert get(viewer, [["film.bin", 0, SIZE]], SIZE) == film
        used = viewer.sock
    assert get(viewer, [["film.bin", 5, 10]], 10) == film[5:15]
    assert viewer.sock is used is not None


def test_a_file_that_is_not_in_memory(viewer: HTTPConnection, film: bytes, folder: Path) -> None:
    with (folder / "film.bin").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 3_000_000, HALF, os.POSIX_FADV_DONTNEED)
        assert get(viewer, [["film.bin", 0, SIZE]], SIZE, read=1) == film


def test_bytes_and_parts_of_files_keep_their_order(viewer: HTTPConnection, film: bytes) -> None:
    plan = ["<", ["film.bin", 1000, 3_000_000], 2_000_000, ["film.bin", HALF, 0], ["film.bin", HALF, 7], ">"]
    expected = b"<" + film[1000:3_001_000] + b"|" * 2_000_000 + film[HALF : HALF + 7] + b">"
    assert get(viewer, plan, len(expected)) == expected


def test_what_waits_for_a_slow_viewer_goes_out_before_the_file(site: Site, film: bytes) -> None:
    with asking(site, path_of([9_000_000, ["film.bin", 0, SIZE]], 9_000_000 + SIZE), version="1.0") as slow:
        beginning = slow.recv(10)
        wait_for(lambda: state(site)["sending"] == 0)  # the bytes alone fill the connection
        head, _, body = (beginning + everything(slow)).partition(b"\r\n\r\n")
    assert b" 200 OK" in head
    assert body == b"|" * 9_000_000 + film


@pytest.mark.usefixtures("way")
def test_a_file_that_ends_early_is_gone_on_with_elsewhere(viewer: HTTPConnection, film: bytes) -> None:
    heard = json.dumps([[HALF - 9, None], [SIZE - HALF, None]]).encode()
    plan = [["half.bin", 9, SIZE - 9], ["film.bin", HALF, SIZE - HALF]]
    assert get(viewer, plan, SIZE - 9 + len(heard), heard=1) == film[9:] + heard


def test_a_file_that_cannot_be_read_says_why(viewer: HTTPConnection) -> None:
    heard = json.dumps([[0, errno.EIO]]).encode()
    # The first page of a process's memory is never there.
    assert get(viewer, [["/proc/self/mem", 0, 5]], len(heard), heard=1, read=1) == heard


def test_what_the_kernel_cannot_send_is_read(viewer: HTTPConnection) -> None:
    assert get(viewer, [["/proc/self/environ", 0, 1], "."], 2, read=1).endswith(b".")


@pytest.mark.usefixtures("way")
def test_too_short_a_body_never_looks_complete(viewer: HTTPConnection, film: bytes) -> None:
    with pytest.raises(IncompleteRead) as broken:
        get(viewer, ["<", ["half.bin", 0, SIZE]], SIZE + 1)
    assert broken.value.partial == b"<" + film[:HALF]


def test_too_long_a_body_is_cut_where_it_was_to_end(viewer: HTTPConnection, film: bytes) -> None:
    assert get(viewer, [["film.bin", 0, SIZE], "more", ["film.bin", 0, SIZE]], 1000) == film[:1000]
    assert get(viewer, ["<", "more"], 3) == b"<mo"
    assert get(viewer, [["film.bin", 0, 2], "more"], 3) == film[:2] + b"m"


def test_without_a_length_a_file_is_sent_in_chunks(viewer: HTTPConnection, film: bytes) -> None:
    assert get(viewer, ["<", ["film.bin", 0, SIZE], ">"], read=1) == b"<" + film + b">"


@pytest.mark.usefixtures("way")
def test_head_has_the_headers_and_no_body(viewer: HTTPConnection, film: bytes) -> None:
    viewer.request("HEAD", path_of([["film.bin", 0, SIZE]], SIZE))
    answer = viewer.getresponse()
    assert (answer.getheader("Content-Length"), answer.read()) == (str(SIZE), b"")
    assert get(viewer, [["film.bin", 0, 4]], 4) == film[:4]


def test_requests_sent_at_once_are_answered_in_turn(site: Site, film: bytes) -> None:
    with asking(site, path_of([["film.bin", 0, HALF]], HALF)) as viewer:
        last = f"GET {path_of([['film.bin', 3, 5]], 5)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        viewer.sendall(last)
        answers = everything(viewer)
    first, second = answers.split(b"\r\n\r\n", 1)[1], answers.rpartition(b"\r\n\r\n")[2]
    assert first.startswith(film[:HALF] + b"HTTP/1.1 200 OK")
    assert second == film[3:8]


@pytest.mark.usefixtures("way")
def test_viewers_who_stop_reading_hold_up_nobody(site: Site, viewer: HTTPConnection, film: bytes) -> None:
    """More of them than there are threads."""
    with ExitStack() as stalled:
        for _ in range(300):
            stalled.enter_context(asking(site, path_of([["film.bin", 0, SIZE]], SIZE), window=4096))
        wait_for(lambda: state(site)["sending"] == 300)
        assert get(viewer, [["film.bin", 0, SIZE]], SIZE) == film
    wait_for(lambda: state(site)["sending"] == 0)
    wait_for(lambda: state(site)["films"] == 0)


@pytest.mark.usefixtures("way")
def test_a_viewer_who_leaves_ends_the_response(site: Site, film: bytes) -> None:
    before = state(site)["closed"]
    with asking(site, path_of([["film.bin", 0, SIZE], ["film.bin", 0, SIZE]], 2 * SIZE)) as viewer:
        assert viewer.recv(100)
        assert state(site)["closed"] == before
    wait_for(lambda: state(site)["closed"] == before + 1)
    wait_for(lambda: state(site)["films"] == 0)


def test_a_disk_that_hangs_holds_up_only_its_viewers(
    site: Site, viewer: HTTPConnection, film: bytes, folder: Path, tmp_path: Path
) -> None:
    with ExitStack() as mounted:
        try:
            disk = mounted.enter_context(HangingDisk(folder / "hanging", film, good=4_000_000))
        except CannotMount as why:
            pytest.skip(f"no file system of our own: {why}")
        before = state(site)["closed"]
        waiting = mounted.enter_context(closing(HTTPConnection("127.0.0.1", site.port, timeout=120)))
        waiting.request("GET", path_of([["hanging/film.bin", 0, SIZE]], SIZE, read=1))
        leaving = mounted.enter_context(asking(site, path_of([["hanging/film.bin", HALF, HALF]], HALF, read=1)))
        assert disk.hangs.wait(60)
        assert get(viewer, [["film.bin", 0, SIZE]], SIZE) == film
        leaving.close()
        wait_for(lambda: state(site)["closed"] == before + 2)
        failing_over: list[Any] = [["hanging/film.bin", 9, SIZE - 9, 0.2], {"else": "film.bin"}]
        assert get(viewer, failing_over, SIZE - 9, read=1) == film[9:]
        disk.let_go()
        assert waiting.getresponse().read() == film
        wait_for(lambda: state(site)["films"] == 0)


def test_with_tls_files_are_read(
    folder: Path, film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_setup: None
) -> None:
    certificate, key = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    words = f"--certfile={certificate} --keyfile={key}"
    site = Site(folder, DJANGO_SETTINGS_MODULE="tests.servers.piece_site", GUNICORN_CMD_ARGS=words)
    site.base_url = site.base_url.replace("http:", "https:")
    context = ssl.create_default_context(cafile=str(certificate))
    with site, closing(HTTPSConnection("127.0.0.1", site.port, timeout=120, context=context)) as viewer:
        for _ in range(2):
            assert get(viewer, ["<", ["film.bin", 0, SIZE], ">"], SIZE + 2, read=1) == b"<" + film + b">"
        with pytest.raises(HTTPException):  # it may not be read
            get(viewer, [["film.bin", 0, SIZE]], SIZE)


@pytest.mark.usefixtures("way")
def test_other_servers_get_the_bytes(film: bytes, folder: Path, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.servers.piece_site"

    async def ask(path: str) -> bytes:
        answer: Any = await AsyncClient().get(path)
        return b"".join([piece async for piece in answer])

    plan = [[str(folder / "half.bin"), 5, SIZE], [str(folder / "film.bin"), HALF, 10]]
    content = async_to_sync(ask)(path_of(plan, heard=1, read=1))
    assert content == film[5 : HALF + 10] + json.dumps([[HALF - 5, None], [10, None]]).encode()
