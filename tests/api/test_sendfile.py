"""Files go out by `sendfile` from gunicorn's own worker, and a viewer can't tell (archive_site/{zero_copy,web_worker}.py)."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.servers.site import Site

SIZE = 6_000_000
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pieces")


@pytest.fixture(scope="module")
def film(folder: Path) -> bytes:
    """film.bin, as large as several buffers of a socket."""
    blocks = (hashlib.sha512(index.to_bytes(4, "big")).digest() for index in range(SIZE // 64))
    content = b"".join(blocks)
    (folder / "film.bin").write_bytes(content)
    (folder / "half.bin").write_bytes(content[: SIZE // 2])
    return content


@pytest.fixture
def pieces(folder: Path, film: bytes) -> Iterator[Site]:
    """The site of tests/servers/piece_site.py."""
    with Site(folder, DJANGO_SETTINGS_MODULE="tests.servers.piece_site") as site:
        yield site


def test_it(pieces: Site, film: bytes) -> None:
    c = HTTPConnection("127.0.0.1", pieces.port, timeout=60)
    c.request("GET", "/play?" + urlencode({"plan": json.dumps([["film.bin", 0, SIZE]]), "length": SIZE}))
    r = c.getresponse()
    print(r.getheaders())
    assert r.read() == film
    s=c.sock
    c.request("GET", "/play?" + urlencode({"plan": json.dumps([["film.bin", 0, SIZE]]), "length": SIZE}))
    assert c.getresponse().read() == film
    assert c.sock is s and s is not None
    c.request("GET", "/play?" + urlencode({"plan": json.dumps(["a",["half.bin", 0, SIZE],"b"]),"length": SIZE//2+2}))
    assert c.getresponse().read() == b"a"+film[:SIZE//2]+b"b"
    print(pieces.said())
