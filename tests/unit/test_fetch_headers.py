"""What one host was sent, or sent us, stays with that host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archive_site.safe_http import Fetcher, Policy, carried, same_origin
from tests.servers import origin as servers
from tests.servers.origin import Origin

SECRETS = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "1", "Proxy-Authorization": "Basic x"}
HARMLESS = {"User-Agent": "Player", "Accept-Language": "de", "If-Range": '"1"'}


@pytest.fixture
def other(origin: Origin) -> Iterator[Origin]:
    """A second origin, on another port."""
    with Origin(origin.folder) as running:
        running.put("/b", b"x")
        yield running


@pytest.fixture
def fetcher(origin: Origin, other: Origin) -> Iterator[Fetcher]:
    """One that may reach both."""
    with Fetcher(Policy(frozenset({origin.host_port, other.host_port}))) as ready:
        yield ready


def test_credentials_do_not_follow_to_another_origin(origin: Origin, other: Origin, fetcher: Fetcher) -> None:
    origin.misbehave("/a", servers.Redirect(to=other.url("/b")))
    fetcher.get(origin.url("/a"), headers=SECRETS | HARMLESS).close()
    assert {"Authorization", "Cookie", "X-Api-Key"} <= set(origin.requests[0].headers)
    assert not SECRETS.keys() & other.requests[0].headers.keys()
    assert HARMLESS.items() <= other.requests[0].headers.items()


def test_credentials_do_not_come_back_by_a_detour(origin: Origin, other: Origin, fetcher: Fetcher) -> None:
    origin.misbehave("/a", servers.Redirect(to=other.url("/a")))
    other.misbehave("/a", servers.Redirect(to=origin.url("/b")))
    fetcher.get(origin.url("/a"), headers=SECRETS).close()
    assert not SECRETS.keys() & origin.requests[-1].headers.keys()


def test_credentials_follow_within_an_origin(origin: Origin, fetcher: Fetcher) -> None:
    origin.misbehave("/a", servers.Redirect(to="/b"))
    fetcher.get(origin.url("/a"), headers={"Cookie": "a=b"}).close()
    assert origin.requests[-1].headers["Cookie"] == "a=b"


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        ("http://a.example/", "https://a.example/", True), ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "https://a.example:443/", True), ("http://a.example:81/", "https://a.example/", False),
        ("https://a.example/", "https://b.a.example/", False), ("https://a.example/", "https://a.example./", False),
    ],
)  # fmt: skip
def test_credentials_stay_with_an_origin_and_its_better_self(source: str, target: str, kept: bool) -> None:
    assert ("Cookie" in carried({"Cookie": "a=b"}, source, target)) is kept


@pytest.mark.parametrize("where", ["", "; Domain=127.0.0.1", "; Domain=0.0.1", "; Path=/", "; Domain=localhost"])
def test_cookies_are_not_kept(origin: Origin, other: Origin, fetcher: Fetcher, where: str) -> None:
    origin.misbehave("/a", servers.Body(content=b"x", headers={"Set-Cookie": f"a=b{where}"}))
    fetcher.get(origin.url("/a")).close()
    for server in (origin, other):
        fetcher.get(server.url("/b")).close()
        assert "Cookie" not in server.requests[-1].headers


def test_cookies_are_not_kept_over_a_redirect(origin: Origin, other: Origin, fetcher: Fetcher) -> None:
    answer = {"Set-Cookie": "a=b; Path=/", "Location": other.url("/b")}
    origin.misbehave("/a", servers.Status(code=302, headers=answer))
    fetcher.get(origin.url("/a")).close()
    assert "Cookie" not in other.requests[-1].headers


@pytest.mark.parametrize(
    ("referer", "seen"),
    [
        ("{same}/watch?token=1#t", "{same}/watch?token=1"),
        ("{other}/watch?token=1", "{other}/"),
        ("http://user:pw@a.example/watch", "http://a.example/"),
        ("https://a.example/watch", None), ("file:///home/me", None), ("http://[", None),
    ],
)  # fmt: skip
def test_referer_tells_another_origin_no_more_than_its_own(
    origin: Origin, other: Origin, fetcher: Fetcher, referer: str, seen: str | None
) -> None:
    here = {"same": origin.base_url, "other": other.base_url}
    fetcher.get(origin.url("/b"), headers={"Referer": referer.format(**here)}).close()
    assert origin.requests[0].headers.get("Referer") == (seen.format(**here) if seen else None)


def test_referer_is_cut_on_the_way_to_another_origin(origin: Origin, other: Origin, fetcher: Fetcher) -> None:
    origin.misbehave("/a", servers.Redirect(to=other.url("/b")))
    fetcher.get(origin.url("/a"), headers={"Referer": origin.url("/watch?token=1")}).close()
    assert other.requests[0].headers["Referer"] == origin.url("/")


def test_headers_that_frame_or_route_a_request_are_not_taken_over(origin: Origin, fetcher: Fetcher) -> None:
    foreign = {"Host": "inside", "Transfer-Encoding": "chunked", "Content-Length": "9", "Accept-Encoding": "gzip"}
    fetcher.get(origin.put("/x", b"x"), headers=foreign).close()
    sent = origin.requests[0].headers
    assert sent["Host"] == "{}:{}".format(*origin.host_port)
    assert sent["Accept-Encoding"] == "identity"
    assert not {"Transfer-Encoding", "Content-Length"} & sent.keys()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://A.example:443/y", True), ("https://a.example/", True), ("http://a.example/", False),
        ("https://b.a.example/", False), ("https://a.example:8443/", False), ("https://[a.example/", False),
        ("https://[8.8.8.8]/", False), ("https://a.example:x/", False),
    ],
)  # fmt: skip
def test_origins_are_told_apart(other: str, same: bool) -> None:
    assert same_origin("https://a.example/x", other) is same
