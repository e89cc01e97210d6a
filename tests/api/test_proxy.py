"""`/proxy` through gunicorn: what viewers get of an upstream that behaves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from storage_app.playback.signing import Keyring, Signer
from storage_app.playback.urls import keyring, signer
from tests.api.proxy_stage import DEADLINE, Stage, stage
from tests.servers.origin import Chunked, Headers, NoRange, Redirect, Status

__all__ = ["stage"]

CONTENT = bytes(range(256)) * 4000
SIZE = len(CONTENT)
PATH = "/a/video.mp4"
NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nETag: W/"b"\r\n\r\n'
WAIT, SIZE_TOLD = {"Retry-After": "7"}, {"Content-Range": "bytes */77"}
CSP = "default-src 'none'; media-src 'self'; sandbox"


@pytest.fixture
def url(stage: Stage) -> Iterator[str]:
    yield stage.origin.put(PATH, CONTENT)
    stage.origin.misbehave(PATH)


def test_the_whole_comes_as_it_is(stage: Stage, url: str) -> None:
    answer = stage.get(url)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert (answer.headers["Content-Type"], answer.headers["Content-Length"]) == ("video/mp4", str(SIZE))
    assert (answer.headers["Cache-Control"], answer.headers["Accept-Ranges"]) == ("public, max-age=300", "bytes")


def test_no_browser_takes_it_for_a_page_and_every_site_may_play_it(stage: Stage, url: str) -> None:
    for answer in (stage.get(url), stage.get(url + ".none"), requests.get(stage.site.unsigned(url), timeout=DEADLINE)):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Set-Cookie" not in answer.headers
    assert stage.get(url).headers["Content-Security-Policy"] == CSP
    assert stage.get(url).headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-", 0, SIZE - 1), ("bytes=1000-1999", 1000, 1999), ("bytes= 5-5", 5, 5)],
)
def test_one_range_passes_both_ways(stage: Stage, url: str, asked: str, first: int, last: int) -> None:
    answer = stage.get(url, Range=asked)
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{SIZE}")
    assert answer.content == CONTENT[first : last + 1]


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=9-1", "bytes=-", "rubbish", "items=0-1", "bytes=1-" + "9" * 30]
)
def test_several_ranges_and_malformed_ones_are_the_whole_file(stage: Stage, url: str, asked: str) -> None:
    answer = stage.get(url, Range=asked)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert "Range" not in stage.origin.requests[-1].headers


def test_an_upstream_that_knows_no_ranges_gives_the_whole(stage: Stage, url: str) -> None:
    stage.origin.misbehave(PATH, NoRange())
    answer = stage.get(url, Range="bytes=5-9")
    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_head_tells_what_get_would_and_reads_nothing(stage: Stage, url: str) -> None:
    whole, served = stage.get(url), stage.origin.served(PATH)
    head = stage.get(url, "HEAD")
    names = ["Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Cache-Control"]
    assert [head.headers[name] for name in names] == [whole.headers[name] for name in names]
    assert (head.status_code, head.content, stage.origin.served(PATH)) == (200, b"", served)


@pytest.mark.parametrize("code", [405, 501])
def test_head_is_answered_although_the_upstream_does_not_know_it(stage: Stage, url: str, code: int) -> None:
    stage.origin.misbehave(PATH, Status(code=code, times=1))
    head = stage.get(url, "HEAD")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(SIZE))
    assert stage.origin.requests[-1].method == "GET"


def test_who_has_it_already_gets_304(stage: Stage) -> None:
    url = stage.odd.say(NOT_MODIFIED)
    for method in ("GET", "HEAD"):
        answer = stage.get(url, method, If_None_Match='"a", W/"b"')
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", 'W/"b"')
        assert 'If-None-Match: "a", W/"b"\r\n' in stage.odd.heads[-1]
        assert "Content-Length" not in answer.headers


def test_a_304_that_nobody_asked_for_is_an_error(stage: Stage) -> None:
    answer = stage.get(stage.odd.say(NOT_MODIFIED))
    assert (answer.status_code, answer.json()["error"]) == (502, "upstream_status")


def test_if_range_goes_along_with_a_range_only(stage: Stage, url: str) -> None:
    etag = stage.get(url, "HEAD").headers["ETag"]
    assert stage.get(url, Range="bytes=5-", If_Range=etag).status_code == 206
    assert stage.get(url, Range="bytes=5-", If_Range='"other"').status_code == 200
    stage.get(url, If_Range=etag)
    assert "If-Range" not in stage.origin.requests[-1].headers


def test_nothing_else_of_the_viewer_reaches_the_upstream(stage: Stage, url: str) -> None:
    stage.get(
        url, Cookie="a=b", X_Forwarded_For="1.2.3.4", Authorization="Bearer x", Referer="http://r/", User_Agent="Mine",
        Origin="http://o/", Accept_Language="de", Accept_Encoding="gzip",
    )  # fmt: skip
    host = "{}:{}".format(*stage.origin.host_port)
    assert stage.origin.requests[-1].headers == {
        "Host": host, "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Reelkeep",
    }  # fmt: skip


def test_nothing_else_of_the_upstream_reaches_the_viewer(stage: Stage, url: str) -> None:
    more = {
        "Set-Cookie": "a=b", "Server": "theirs", "Link": "</x>; rel=preload", "Refresh": "0; url=http://evil/",
        "Access-Control-Allow-Origin": "http://only.example", "Content-Disposition": "attachment", "X-Anything": "1",
        "Strict-Transport-Security": "max-age=1", "Content-Security-Policy": "none", "Cache-Control": "private",
    }  # fmt: skip
    stage.origin.misbehave(PATH, Headers(headers=more))
    assert set(stage.get(url).headers) == {
        "Server", "Date", "Content-Type", "Content-Length", "Accept-Ranges", "ETag", "Cache-Control",
        "X-Content-Type-Options", "Content-Security-Policy", "Cross-Origin-Resource-Policy",
        "Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
        "Access-Control-Expose-Headers",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "told"),
    [("Video/MP4; codecs=x", "video/mp4"), ("audio/x-foo+bar", "audio/x-foo+bar"), ("text/vtt;charset=x", "text/vtt"),
     ("application/dash+xml", "application/dash+xml"), ("text/html", ""), ("image/svg+xml", ""), ("", ""),
     ("video/", ""), ("application/javascript", ""), ("video/mp4/x", "")],
)  # fmt: skip
def test_only_harmless_types_pass(stage: Stage, url: str, given: str, told: str) -> None:
    stage.origin.misbehave(PATH, Headers(headers={"Content-Type": given}))
    assert stage.get(url).headers["Content-Type"] == (told or "application/octet-stream")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(stage: Stage, url: str, code: int) -> None:
    stage.origin.misbehave("/moved", Status(code=code, headers={"Location": "a/video.mp4"}))
    answer = stage.get(stage.origin.url("/moved"), Range="bytes=1-2")
    assert (answer.status_code, answer.content) == (206, CONTENT[1:3])


def test_too_many_redirects_are_an_error(stage: Stage) -> None:
    stage.origin.misbehave("/round", Redirect(to="/round"))
    answer = stage.get(stage.origin.url("/round"))
    assert (answer.status_code, answer.json()["error"]) == (502, "too_many_redirects")
    assert stage.origin.count("/round") == 6


@pytest.mark.parametrize(
    ("code", "told", "headers", "passed"),
    [(404, 404, {}, {}), (410, 410, {}, {}), (500, 502, {}, {}), (403, 502, {}, {}), (300, 502, {}, {}),
     (401, 502, {"WWW-Authenticate": "Basic"}, {}), (429, 503, WAIT, WAIT),
     (503, 503, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, {}), (416, 416, SIZE_TOLD, SIZE_TOLD),
     (416, 416, {"Content-Range": "bytes */x"}, {}), (404, 404, SIZE_TOLD, {})],
)  # fmt: skip
def test_what_the_upstream_says_instead_is_told_in_json(
    stage: Stage, url: str, code: int, told: int, headers: dict[str, str], passed: dict[str, str]
) -> None:
    stage.origin.misbehave(PATH, Status(code=code, headers=headers))
    answer = stage.get(url)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (told, "no-store")
    assert answer.json() == {"error": "upstream_status", "detail": f"The source answers with status {code}."}
    names = {"Retry-After", "Content-Range", "WWW-Authenticate"}
    assert {name: answer.headers[name] for name in names & set(answer.headers)} == passed


def test_a_body_of_unknown_length_comes_whole(stage: Stage, url: str) -> None:
    stage.origin.misbehave(PATH, Chunked())
    answer = stage.get(url)
    assert (answer.content, "Content-Length" in answer.headers) == (CONTENT, False)


def test_preflight_and_other_methods(stage: Stage, url: str) -> None:
    link = stage.site.proxied(url)
    preflight = requests.options(link, timeout=DEADLINE)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD, OPTIONS")
    assert preflight.headers["Access-Control-Max-Age"] == "86400"
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        refused = requests.request(method, link, data=b"", timeout=DEADLINE)
        assert (refused.status_code, refused.json()["error"]) == (405, "method_not_allowed")
        assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_only_what_was_signed_is_fetched(stage: Stage, url: str) -> None:
    ring = keyring()
    good, seen = signer().exact(url), len(stage.origin.requests)
    other = Signer(Keyring("another key").current, signer().expires).exact(url)
    for query, status, error in (
        (f"url={url}", 403, "unsigned"),
        (other, 403, "bad_signature"),
        (good.replace("video.mp4", "other.mp4"), 403, "bad_signature"),
        (good.replace("&url=", "&url=http%3A%2F%2Fother%2F&url="), 403, "bad_signature"),
        (Signer(ring.current, 1_600_000_000).exact(url), 410, "expired"),
        ("", 400, "bad_request"),
    ):
        answer = requests.get(f"{stage.site.url('/proxy')}?{query}", timeout=DEADLINE)
        assert (answer.status_code, answer.json()["error"]) == (status, error), query
        assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == ("application/json", "no-store")
        assert json.loads(answer.content)["detail"].endswith(".")
    assert len(stage.origin.requests) == seen


def test_delivery_directives_go_along_unsigned_and_nothing_else(stage: Stage) -> None:
    stage.origin.put("/live.mp4", CONTENT)
    heads = stage.odd.heads
    link = stage.site.proxied(stage.odd.say(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n") + "?a=1#part")
    before, _, target = link.partition("&url=")
    for more in ("&_HLS_msn=7&_HLS_part=2&other=3", "&_hls_msn=7"):
        assert requests.get(f"{before}{more}&url={target}", timeout=DEADLINE).status_code == 404
    assert heads[-2].startswith("GET /odd.mp4?a=1&_HLS_msn=7&_HLS_part=2 HTTP/1.1\r\n")
    assert heads[-1].startswith("GET /odd.mp4?a=1 HTTP/1.1\r\n")
