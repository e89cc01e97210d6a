"""`/proxy` before upstreams that lie, break off, or lead elsewhere."""

from __future__ import annotations

import gzip
import http.client
import socket

import pytest
import requests

from tests.api.proxy_stage import DEADLINE, Stage, stage
from tests.servers.origin import Chunked, Cut, Redirect, WrongRange

__all__ = ["stage"]

CONTENT = bytes(range(256)) * 4000
OK = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n"


def refused(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    return answer.status_code, answer.json()["error"]


INSIDE = [
    "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest/", "http://0x7f.1/",
    "http://10.0.0.1/x.m3u8", "http://[::ffff:127.0.0.1]/", "http://2130706433/", "ftp://93.184.216.34/",
    "file:///etc/passwd", "http://user:pass@93.184.216.34/", "http://93.184.216.34:0/", "gopher:x", "//127.0.0.1:1/",
]  # fmt: skip


@pytest.mark.parametrize("url", [*INSIDE, "http:///x", "x", ":", "http://", "https://[/"])
def test_nothing_inside_is_reached(stage: Stage, url: str) -> None:
    assert stage.get(url, "HEAD").status_code == 403
    assert refused(stage.get(url)) == (403, "address_refused")


@pytest.mark.parametrize("url", [*INSIDE, "https://[/"])
@pytest.mark.parametrize("name", ["/away.mp4", "/away.m3u8"])
def test_nothing_inside_is_reached_by_a_redirect(stage: Stage, url: str, name: str) -> None:
    stage.origin.misbehave(name, Redirect(to=url))
    assert stage.get(stage.origin.url(name), "HEAD").status_code == 403
    assert refused(stage.get(stage.origin.url(name))) == (403, "address_refused")


def test_the_texts_name_neither_address_nor_secret(stage: Stage) -> None:
    stage.origin.misbehave("/secret-path", Redirect(to="http://127.0.0.1:1/inner?token=abc"))
    text = stage.get(stage.origin.url("/secret-path?key=xyz")).text
    assert not [word for word in ("secret", "127.0.0.1", "token", "xyz", "inner") if word in text]
    assert "xyz" not in stage.site.said()
    assert "token" not in stage.site.said()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-unknown", "gzip, gzip"])
@pytest.mark.parametrize("name", ["/video.mp4", "/index.m3u8"])
def test_what_comes_compressed_is_refused(stage: Stage, coding: str, name: str) -> None:
    body = gzip.compress(bytes(10_000_000))
    head = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(body))
    url = stage.odd.say(head, body).replace("/odd.mp4", name)
    assert refused(stage.get(url)) == (502, "upstream_status")


@pytest.mark.parametrize(
    "said",
    [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 banana\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000,
     b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000, OK + b"Content-Length: -5\r\n\r\n",
     OK + b"Content-Length: 5x\r\n\r\n", OK + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\n12345",
     OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", OK + b"Bad Name: x\r\nContent-Length: 1\r\n\r\nx",
     OK + b"X: a\rSet-Cookie: b=c\r\nContent-Length: 1\r\n\r\nx"],
    ids=range(11),
)  # fmt: skip
def test_what_is_not_http_is_an_error_of_the_upstream(stage: Stage, said: bytes) -> None:
    answer = stage.get(stage.odd.say(said))
    # A broken chunk may be found after the header has gone out: then there is no content.
    assert answer.status_code in {200, 502}
    if answer.status_code == 502:
        assert refused(answer) == (502, "upstream_unreachable")
    assert "Set-Cookie" not in answer.headers


def test_nobody_there_is_an_error_of_the_upstream(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        # Bound, but nobody listens; it may be fetched from under the name of an allowed port only.
        assert stage.get("http://{}:{}/".format(*taken.getsockname())).status_code == 403


@pytest.mark.parametrize("header", ["ETag", "Last-Modified", "Content-Type", "Content-Range", "Accept-Ranges"])
@pytest.mark.parametrize("value", [b"\xff\xfe", "ü".encode(), b"a\tb", b"</script>", b"x" * 5000, b'"\x7f"'])
def test_a_header_that_is_not_well_formed_does_not_pass(stage: Stage, header: str, value: bytes) -> None:
    name = header.encode()
    head = (OK if header != "Content-Type" else b"HTTP/1.1 200 OK\r\n") + name + b": " + value
    answer = stage.get(stage.odd.say(head + b"\r\nContent-Length: 4\r\n\r\nbody"))
    if header == "Content-Type":
        assert (answer.content, answer.headers[header]) == (b"body", "application/octet-stream")
    elif answer.status_code == 200:
        assert (answer.content, header in answer.headers) == (b"body", False)
    else:
        assert refused(answer) == (502, "upstream_unreachable")


def read_raw(stage: Stage, url: str) -> tuple[http.client.HTTPResponse, bytes, bool]:
    """The answer, what came of its body, and whether it came to its proper end."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.site.port, timeout=DEADLINE)
    connection.request("GET", stage.site.proxied(url).removeprefix(stage.site.base_url))
    answer = connection.getresponse()
    try:
        return answer, answer.read(), True
    except http.client.IncompleteRead as cut:
        return answer, cut.partial, False


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_breaks_off_does_not_look_complete(stage: Stage, chunked: bool) -> None:
    url = stage.origin.put("/cut.mp4", CONTENT)
    stage.origin.misbehave("/cut.mp4", Cut(after=300_000), *([Chunked()] if chunked else []))
    answer, body, whole = read_raw(stage, url)
    assert (answer.status, whole) == (200, False)
    assert CONTENT.startswith(body)
    assert "Traceback" not in stage.site.said()


def test_what_comes_beyond_the_promised_length_is_left_out(stage: Stage) -> None:
    _, body, whole = read_raw(stage, stage.odd.say(OK + b"Content-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n\r\nmore"))
    assert (body, whole) == (b"body", True)


def test_a_chunked_body_passes_whatever_length_is_said_beside_it(stage: Stage) -> None:
    said = OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"
    answer, body, whole = read_raw(stage, stage.odd.say(said))
    if answer.status == 200:
        assert (body, whole) == (b"whole", True)
    else:
        assert answer.status == 502


def test_upstreams_of_http_1_0_end_their_body_by_closing(stage: Stage) -> None:
    answer, body, whole = read_raw(stage, stage.odd.say(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp4\r\n\r\nbody"))
    assert (answer.status, body, whole, answer.getheader("Content-Length")) == (200, b"body", True, None)


def test_a_part_that_was_not_asked_for_is_refused(stage: Stage) -> None:
    url = stage.origin.put("/wrong.mp4", CONTENT)
    stage.origin.misbehave("/wrong.mp4", WrongRange())
    assert refused(stage.get(url, Range="bytes=100-199")) == (502, "upstream_status")
    part = b"HTTP/1.1 206 OK\r\nContent-Type: video/mp4\r\nContent-Length: 4\r\n"
    for head in (b"Content-Range: bytes 0-3/9\r\n", b"", b"Content-Range: bytes 0-8/9\r\n"):
        assert refused(stage.get(stage.odd.say(part + head + b"\r\nbody"))) == (502, "upstream_status")
    assert refused(stage.get(stage.odd.say(part + b"\r\nbody"), Range="bytes=0-3")) == (502, "upstream_status")


def test_a_silent_upstream_is_told_of_in_time(stage: Stage) -> None:
    assert refused(stage.get(stage.odd.say(b"HTTP/1.1 200 OK\r\n", hold=True))) == (504, "upstream_timeout")


def test_odd_names_reach_the_upstream_percent_encoded(stage: Stage) -> None:
    stage.odd.say(OK + b"Content-Length: 0\r\n\r\n")
    stage.get(stage.odd.url("/a%2Fb/ü//x y?q=a+b%2B&r=<1>"))
    assert stage.odd.heads[-1].startswith("GET /a%2Fb/%C3%BC//x%20y?q=a+b%2B&r=%3C1%3E HTTP/1.1\r\n")
