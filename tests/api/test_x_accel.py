"""nginx sends the bytes where it is told to: the shipped configuration, the real nginx, the site's own gunicorn.

The views of tests/servers/accel_site.py have no bodies of their own to send, so whoever gets bytes got them from nginx.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
from django.conf import settings

from archive_site.addresses import AddressRefused, Endpoint, Policy
from storage_app.playback import accel
from storage_app.playback.urls import signer
from tests.servers.accel_site import HEADERS
from tests.servers.certificates import make_certificate
from tests.servers.nginx import PROGRAM, Nginx
from tests.servers.origin import Origin
from tests.servers.raw import RawServer
from tests.servers.site import Site

FILM = bytes(range(256)) * 4096
SECRET = "X-Amz-Signature=0123456789abcdef"
CONTENT = b"0123456789"
# Of every answer by way of nginx and Django; not of interest here.
USUAL = {"Server", "Date", "Connection", "Referrer-Policy", "Cross-Origin-Opener-Policy", "X-Frame-Options"}

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no nginx to test with (make .venv/nginx.ok)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accel")
    (folder / "film.mp4").write_bytes(FILM)
    return folder


@pytest.fixture(scope="module")
def certificate(folder: Path) -> tuple[Path, Path]:
    return make_certificate(folder, "films.example")


@pytest.fixture(scope="module")
def site(folder: Path, django_db_setup: None) -> Iterator[Site]:
    with Site(folder, DJANGO_SETTINGS_MODULE="tests.servers.accel_site", X_ACCEL="true") as running:
        yield running


@pytest.fixture(scope="module")
def nginx(site: Site, folder: Path, certificate: tuple[Path, Path]) -> Iterator[Nginx]:
    with Nginx(folder / "nginx", site.port, trusted=certificate[0]) as running:
        yield running


def get(nginx: Nginx, path: str, headers: dict[str, str] | None = None, **query: object) -> requests.Response:
    return requests.get(
        nginx.url(f"{path}?{urlencode(query)}"), headers=headers or {}, timeout=60, allow_redirects=False
    )


def told(answer: requests.Response) -> dict[str, str]:
    """The headers that are of interest."""
    return {name: value for name, value in answer.headers.items() if name not in USUAL}


def sent_itself(answer: requests.Response) -> bool:
    return answer.headers.get("X-Itself") == "1" and answer.request.path_url in answer.text


def each_header_once(nginx: Nginx, path: str, query: dict[str, object], **headers: str) -> dict[str, str]:
    """All of the answer's, by their names in lower case."""
    connection = HTTPConnection("127.0.0.1", nginx.port, timeout=60)
    with closing(connection):
        connection.request("GET", f"{path}?{urlencode(query)}", headers=headers)
        given = [(name.lower(), value) for name, value in connection.getresponse().getheaders()]
    names = [name for name, _ in given]
    assert sorted(names) == sorted(set(names))
    assert not [name for name in names if name.startswith(("x-reelkeep", "x-accel"))]
    return dict(given)


def answering(head: str, body: bytes = CONTENT) -> RawServer:
    """An upstream that answers every request so."""

    def talk(connection: socket.socket) -> None:
        server.read_head(connection)
        connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode() + body)

    server = RawServer(talk)
    return server


def test_a_file_comes_whole_with_the_headers_it_was_given(nginx: Nginx) -> None:
    answer = get(nginx, "/stream/file", name="film.mp4")
    assert (answer.status_code, answer.content == FILM) == (200, True)
    assert told(answer) == HEADERS | {"Content-Length": str(len(FILM))}
    assert answer.headers["Server"] == "nginx"


@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("bytes=5-9", 5, 10), ("bytes=-4", -4, None), ("bytes=9-", 9, None)]
)
def test_a_range_of_a_file(nginx: Nginx, asked: str, start: int, stop: int | None) -> None:
    conditions = {"Range": asked, "If-Range": HEADERS["ETag"]}
    answer = get(nginx, "/stream/file", conditions, name="film.mp4", status=206)
    wanted = FILM[start:stop]
    first = start % len(FILM)
    place = f"bytes {first}-{first + len(wanted) - 1}/{len(FILM)}"
    assert (answer.status_code, answer.content == wanted) == (206, True)
    assert told(answer) == HEADERS | {"Content-Length": str(len(wanted)), "Content-Range": place}


def test_a_range_may_depend_on_the_date_it_was_given(nginx: Nginx) -> None:
    conditions = {"Range": "bytes=5-9", "If-Range": HEADERS["Last-Modified"]}
    assert get(nginx, "/stream/file", conditions, name="film.mp4", status=206).content == FILM[5:10]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=x-", "bytes=9-5", "lines=1-2", "bytes=99999999-"])
def test_nginx_judges_no_range_that_was_judged_before(nginx: Nginx, asked: str) -> None:
    answer = get(nginx, "/stream/file", {"Range": asked}, name="film.mp4")
    assert (answer.status_code, len(answer.content)) == (200, len(FILM))


def test_nginx_judges_no_condition_that_was_judged_before(nginx: Nginx) -> None:
    conditions = {"If-None-Match": '"another"', "If-Modified-Since": "Fri, 01 Jan 2038 00:00:00 GMT"}
    assert get(nginx, "/stream/file", conditions, name="film.mp4").status_code == 200
    assert (
        get(nginx, "/stream/file", {"If-Modified-Since": conditions["If-Modified-Since"]}, name="film.mp4").content
        == FILM
    )
    assert sent_itself(get(nginx, "/stream/file", {"If-Match": '"another"'}, name="film.mp4"))


@pytest.mark.parametrize(
    "name", ["a b%20c.mp4", "what?.mp4", "#1+&;=.mp4", "Fräulein – 映画.mp4", "..mp4", "%2e%2e.mp4"]
)
def test_files_are_found_by_any_name(nginx: Nginx, folder: Path, name: str) -> None:
    (folder / name).write_bytes(name.encode())
    assert get(nginx, "/stream/file", name=name).content == name.encode()


def test_a_file_that_nginx_cannot_read_is_sent_by_the_site(nginx: Nginx) -> None:
    assert sent_itself(get(nginx, "/stream/file", name="gone.mp4", status=200))
    assert sent_itself(get(nginx, "/stream/file", {"Range": "bytes=0-1"}, name="gone.mp4", status=206))
    assert sent_itself(get(nginx, "/stream/file", {"Range": "bytes=99999999-"}, name="film.mp4", status=206))


@pytest.mark.parametrize("path", ["/_reelkeep/whole/etc/passwd", "/_reelkeep/part/etc/passwd", "/_reelkeep/remote"])
def test_a_client_cannot_go_where_only_the_site_may_lead(nginx: Nginx, path: str) -> None:
    forged = {"X-Accel-Redirect": path, "X-Reelkeep-Address": "http://127.0.0.1:1/", "X-Reelkeep-Accel": "on"}
    assert get(nginx, path, forged).status_code == 404
    assert get(nginx, "/itself", forged).headers["X-Itself"] == "1"


def test_what_a_client_says_of_nginx_is_not_passed_on(nginx: Nginx) -> None:
    assert get(nginx, "/stream/file", {"X-Reelkeep-Accel": "off"}, name="film.mp4").content == FILM


def test_without_nginx_the_site_sends_it_itself(site: Site) -> None:
    for headers in ({}, {"X-Reelkeep-Accel": "off"}):
        assert "X-Itself" in requests.get(site.url("/stream/file?name=film.mp4"), headers=headers, timeout=60).headers


def test_other_answers_pass_as_they_are(nginx: Nginx) -> None:
    answer = get(nginx, "/itself", a="1")
    assert sent_itself(answer)
    assert (answer.headers["ETag"], answer.headers["Last-Modified"]) == ('"own"', HEADERS["Last-Modified"])
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_copy_elsewhere_comes_with_the_headers_it_was_given(nginx: Nginx) -> None:
    """nginx connects to the address it was told, whatever the name; the upstream hears nothing of the viewer."""
    head = '200 OK\r\nETag: "theirs"\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\nX-Amz-Request-Id: 1\r\nAge: 5'
    with answering(head) as upstream:
        port = upstream.host_port[1]
        url = f"http://films.example:{port}/a%2Fb c/1.mp4?{SECRET}&x=%20%2B"
        answer = get(nginx, "/stream/remote", {"Cookie": "a=b", "Authorization": "Bearer x"}, url=url, port=port)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert told(answer) == HEADERS | {"Content-Length": "10"}
    request, *sent = upstream.heads[0].rstrip().split("\r\n")
    assert request == f"GET /a%2Fb%20c/1.mp4?{SECRET}&x=%20%2B HTTP/1.1"
    own = {"Accept: */*", "Accept-Encoding: identity", "User-Agent: Reelkeep"}
    assert set(sent) == own | {f"Host: films.example:{port}"}


def test_a_range_of_a_copy_elsewhere(nginx: Nginx) -> None:
    with answering("206 Partial Content\r\nContent-Range: bytes 5-14/99") as upstream:
        answer = get(nginx, "/stream/remote", {"Range": "bytes=5-14"}, url=upstream.url("/1.mp4"))
    assert (answer.status_code, answer.content) == (206, CONTENT)
    assert told(answer) == HEADERS | {"Content-Length": "10", "Content-Range": "bytes 5-14/99"}
    assert "Range: bytes=5-14" in upstream.heads[0].split("\r\n")


@pytest.mark.parametrize(
    ("theirs", "shown"),
    [
        ("Video/MP2T; x=y", "Video/MP2T"),
        ("text/vtt;charset=utf-8", "text/vtt"),
        ("image/svg+xml", "application/octet-stream"),
        ("text/html", "application/octet-stream"),
        ("video/mp4<script>", "application/octet-stream"),
    ],
)
def test_of_a_stranger_only_harmless_headers_are_shown(nginx: Nginx, theirs: str, shown: str) -> None:
    hostile = (
        f'200 OK\r\nContent-Type: {theirs}\r\nETag: "theirs"\r\nLast-Modified: Sun, 02 Nov 2025 12:00:00 GMT\r\n'
        "Accept-Ranges: bytes\r\nSet-Cookie: a=b\r\nClear-Site-Data: *\r\nRefresh: 0\r\nContent-Disposition: inline\r\n"
        "Access-Control-Allow-Origin: https://evil.example\r\nContent-Security-Policy: default-src *\r\nServer: x"
    )
    with answering(hostile) as upstream:
        answer = get(nginx, "/stream/remote", url=upstream.url(), foreign=1)
    expected = HEADERS | {"Content-Type": shown, "ETag": '"theirs"', "Last-Modified": "Sun, 02 Nov 2025 12:00:00 GMT"}
    assert told(answer) == expected | {"Content-Length": "10"}


@pytest.mark.parametrize("foreign", [{}, {"foreign": 1}])
def test_an_upstream_does_not_steer_nginx(nginx: Nginx, folder: Path, foreign: dict[str, Any]) -> None:
    steering = f"X-Accel-Redirect: /_reelkeep/whole{folder}/film.mp4\r\nX-Accel-Limit-Rate: 1\r\nX-Accel-Charset: x"
    with answering(f"200 OK\r\n{steering}") as upstream:
        answer = get(nginx, "/stream/remote", url=upstream.url(), **foreign)
    assert answer.content == CONTENT
    assert not [name for name in answer.headers if name.startswith("X-Accel")]


@pytest.mark.parametrize(
    "head",
    ["302 Found\r\nLocation: http://127.0.0.1:1/", "304 Not Modified", "403 Forbidden", "416 Range Not Satisfiable",
     "429 Too Many Requests", "500 Oops", "503 Later", "555 What"],
)  # fmt: skip
def test_every_other_status_comes_back_to_the_site(nginx: Nginx, head: str) -> None:
    with answering(f"{head}\r\nContent-Type: text/html") as upstream:
        assert sent_itself(get(nginx, "/stream/remote", url=upstream.url(), a="%2F?&"))


@pytest.mark.parametrize("head", ["302 Found\r\nLocation: /2", "503 Later", "404 Not Found"])
@pytest.mark.parametrize("status", [200, 404, 503])
def test_what_comes_back_has_each_header_once_and_only_those_of_its_own(nginx: Nginx, head: str, status: int) -> None:
    with answering(head) as upstream:
        query = {"url": upstream.url(), "full": 1, "status": status}
        given = each_header_once(nginx, "/stream/remote", query)
    for name, value in {**HEADERS, "X-Itself": "1"}.items():
        if name not in {"Content-Length", "Cache-Control"}:
            assert given[name.lower()] == value
    query = {"name": "gone.mp4", "full": 1, "status": status}
    assert each_header_once(nginx, "/stream/file", query)["cache-control"] == "no-store"
    # Nor does anything stay of what the first answer said, where the second doesn't.
    bare = each_header_once(nginx, "/stream/file", {"name": "gone.mp4", "status": status})
    for name in ("Cache-Control", "Accept-Ranges", "Content-Disposition", "Access-Control-Allow-Origin"):
        assert name.lower() not in bare


def test_what_nginx_sends_has_each_header_once(nginx: Nginx) -> None:
    with answering("200 OK\r\nCache-Control: private\r\nContent-Disposition: inline\r\nVary: x") as upstream:
        for query in ({}, {"foreign": 1}):
            each_header_once(nginx, "/stream/remote", {"url": upstream.url(), **query})
            told = upstream.heads[-1].lower()
            assert not [name for name in ("cache-control", "disposition", "reelkeep-") if name in told]
    for status in (200, 206):
        each_header_once(nginx, "/stream/file", {"name": "film.mp4", "status": status}, Range="bytes=5-9")


def test_an_upstream_out_of_reach_comes_back_to_the_site_and_no_log_tells_its_address(nginx: Nginx, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert sent_itself(get(nginx, "/stream/remote", url="http://x/", port=port))
    secret = {"Cookie": "nothing=1"}
    with answering("403 Forbidden") as upstream:
        url = f"http://films.example/1.mp4?{SECRET}"
        path = f"/stream/remote?port={upstream.host_port[1]}&url={quote(url, safe='')}"
        answer = requests.get(nginx.url(path), headers=secret, timeout=60)
    assert sent_itself(answer)
    assert SECRET in upstream.heads[0]
    assert SECRET not in str(answer.headers)
    assert SECRET not in nginx.said()


def test_an_upstream_that_breaks_off_does_not_look_complete(nginx: Nginx) -> None:
    with answering("200 OK", body=CONTENT[:4]) as upstream, pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(nginx, "/stream/remote", url=upstream.url())


def test_tls_is_checked_by_the_upstreams_name(nginx: Nginx, certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + CONTENT)

    with RawServer(talk) as upstream:
        port = upstream.host_port[1]
        assert get(nginx, "/stream/remote", url="https://films.example/1.mp4", port=port).content == CONTENT
        assert sent_itself(get(nginx, "/stream/remote", url="https://other.example/1.mp4", port=port))
    assert names == ["films.example", "other.example"]


def test_only_public_addresses_are_handed_to_nginx() -> None:
    public = Endpoint(socket.AF_INET, ("93.184.216.34", 443))
    assert asyncio.run(accel.checked_address("https://93.184.216.34/1.mp4", Policy())) == public
    with pytest.raises(AddressRefused):
        asyncio.run(accel.checked_address("http://127.0.0.1/1.mp4", Policy()))
    by_proxy = Policy(proxy="http://10.0.0.1:3128")
    assert asyncio.run(accel.checked_address("https://93.184.216.34/1.mp4", by_proxy)) is None


def test_by_default_nothing_is_left_to_nginx(client: Any) -> None:
    request = client.get("/health", headers={"X-Reelkeep-Accel": "on"}).wsgi_request
    assert settings.X_ACCEL is False
    assert accel.wanted(request) is False


def test_the_site_binds_where_only_nginx_can_reach_it() -> None:
    said = [
        subprocess.check_output(
            [sys.executable, "-c", "from archive_site import gunicorn_conf; print(gunicorn_conf.bind)"],
            cwd=settings.BASE_DIR, env=os.environ | {"X_ACCEL": wanted, "PORT": "7860", "BIND": ""}, text=True,
        ).strip()
        for wanted in ("true", "false")
    ]  # fmt: skip
    assert said == ["127.0.0.1:7860", "0.0.0.0:7860"]


def test_proxied_videos_pass_through_nginx(nginx_site: Nginx, origin: Origin) -> None:
    source = origin.put("/film.mp4", FILM)
    link = nginx_site.url(f"/proxy?{signer().exact(source + '?' + 2000 * 'x')}")
    whole = requests.get(link, timeout=60)
    part = requests.get(link, headers={"Range": "bytes=5-9"}, timeout=60)
    assert whole.status_code == 200, whole.text
    assert whole.content == FILM
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (
        206,
        FILM[5:10],
        f"bytes 5-9/{len(FILM)}",
    )
    assert part.headers["Access-Control-Allow-Origin"] == "*"
    assert requests.head(link, timeout=60).headers["Content-Length"] == str(len(FILM))
    refused = requests.get(nginx_site.url("/proxy?url=http://x/"), timeout=60)
    assert (refused.status_code, refused.json()["error"]) == (403, "unsigned")
