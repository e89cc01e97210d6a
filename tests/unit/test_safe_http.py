"""Foreign URLs reach public addresses and what the operator allows by exact host and port; nothing else."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator

import pytest

from archive_site.addresses import is_public, public_endpoints
from archive_site.safe_http import (
    AddressRefused,
    Cut,
    Fetcher,
    Policy,
    TooManyRedirects,
    Unreachable,
    check_url,
    display_url,
    read_body,
    resolve_and_check,
)
from tests.servers import origin as servers
from tests.servers.origin import Origin

STRICT = Policy(connect_timeout=2, read_timeout=2)

HOSTILE = [
    "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://0x7f.1/", "http://0x7f000001/",
    "http://2130706433/", "http://017700000001/", "http://0177.0.0.1/", "http://0/", "http://0.0.0.0/",
    "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/", "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "http://[fe80::1]/",
    "http://[fec0::1]/", "http://[fc00::1]/", "http://[ff02::1]/", "http://[fe80::1%25lo]/",
    "http://localhost/", "http://LOCALHOST./", "http://a.localhost/", "http://127.0.0.1./",
    "http://10.0.0.5/", "http://172.16.0.1/", "http://192.168.1.1/", "http://169.254.169.254/latest/",
    "http://100.64.0.1/", "http://192.0.0.8/", "http://192.88.99.1/", "http://198.18.0.1/",
    "http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "http://127\u30020\u30020\u30021/", "http://%31%32%37.0.0.1/", "http://\u2460\u2461\u2466.0.0.1/",
    "http://8.8.8.8@127.0.0.1/", "http://user:pw@8.8.8.8/", "http://8.8.8.8\\@127.0.0.1/",
    "http://127.0.0.1#@8.8.8.8/", "http://127.0.0.1?@8.8.8.8/", "http://8.8.8.8\t@127.0.0.1/",
    "http://8.8.8.8/\r\nHost: x", "http://8.8.8.8/\x00", " http://8.8.8.8/", "http://8.8.8.8/a b",
    "ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/", "data:video/mp4,x", "//8.8.8.8/",
    "8.8.8.8/x.mp4", "", "http://", "http:///x", "http://./", "http://8.8.8.8:0/", "http://8.8.8.8:65536/",
    "http://8.8.8.8:x/", "http://8.8.8.8:/", "http://[::1/", "http://[8.8.8.8]/", "http://[v1.x]/",
    "http://100.100.100.200/", "http://192.0.0.192/", "http://[fd00:ec2::254]/", "http://[2600::5efe:7f00:1]/",
    "http://[2600::200:5efe:a00:1]/", "http://a\u200b.example/", "https://[::ffff:0:127.0.0.1]/", "http://1.2.3.256/",
]  # fmt: skip

# Those that come out of a Location header as they went in; a relative one leads back to the origin.
REDIRECTABLE = [
    url
    for url in HOSTILE
    if url.isascii() and url.isprintable() and " " not in url and re.match(r"\w+:(//[^/]|\w)", url)
]

FRIENDLY = [
    "http://8.8.8.8/x.mp4", "https://example.com/a.mp4?sig=1#t", "http://example.com:8080/%20",
    "https://[2606:4700::1111]/", "http://[64:ff9b::808:808]/", "https://bücher.example/", "https://a_b.example/",
    "http://[2600::5efe:808:808]/",
    "HTTPS://Example.COM./", "https://example.com/@user/video", "http://0xcafe.example/",
]  # fmt: skip


@pytest.fixture
def fetcher(origin: Origin) -> Iterator[Fetcher]:
    """One that may reach the origin and nothing else on this host."""
    policy = Policy(frozenset({origin.host_port}), connect_timeout=2, read_timeout=0.3)
    with Fetcher(policy) as ready:
        yield ready


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, STRICT)


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_url_is_refused_by_the_fetcher(url: str) -> None:
    with Fetcher(STRICT) as fetcher, pytest.raises(AddressRefused):
        fetcher.get(url)


@pytest.mark.parametrize("url", FRIENDLY)
def test_ordinary_url_passes(url: str) -> None:
    check_url(url, STRICT)


@pytest.mark.parametrize("url", REDIRECTABLE)
def test_redirect_to_a_private_address_is_refused(url: str, origin: Origin, fetcher: Fetcher) -> None:
    origin.misbehave("/start", servers.Redirect(to=url))
    with pytest.raises(AddressRefused):
        fetcher.get(origin.url("/start"))


def test_name_of_a_private_address_is_refused_at_connect() -> None:
    # The hosts file of every Linux machine knows this name; the form of the URL tells nothing.
    with pytest.raises(AddressRefused, match="Add localhost:80 to FETCH_ALLOW_HOSTS"):
        public_endpoints("localhost", 80, STRICT, 2)


def test_resolving_finds_private_addresses_of_a_name() -> None:
    name = socket.gethostname()
    address = ipaddress.ip_address(socket.gethostbyname(name))
    if is_public(address):
        pytest.skip("this host's own name is public")
    with pytest.raises(AddressRefused):
        resolve_and_check(f"http://{name}/", STRICT)


def test_name_that_does_not_resolve_is_accepted_for_now() -> None:
    resolve_and_check("http://does-not-exist.invalid/", STRICT)


def test_name_that_does_not_resolve_is_unreachable() -> None:
    with Fetcher(STRICT) as fetcher, pytest.raises(Unreachable, match=r"doesn't resolve|too long"):
        fetcher.get("http://does-not-exist.invalid/x.mp4?secret=1")


def test_allowed_host_and_port_is_fetched(origin: Origin, fetcher: Fetcher) -> None:
    url = origin.put("/x", b"hello")
    with fetcher.get(url) as response:
        assert b"".join(read_body(response)) == b"hello"


def test_same_host_on_another_port_is_refused(origin: Origin, fetcher: Fetcher) -> None:
    host, port = origin.host_port
    with pytest.raises(AddressRefused, match=f"Add {host}:{port - 1} to"):
        fetcher.get(f"http://{host}:{port - 1}/")


def test_other_name_of_an_allowed_address_is_refused(origin: Origin, fetcher: Fetcher) -> None:
    with pytest.raises(AddressRefused):
        fetcher.get(f"http://localhost:{origin.host_port[1]}/")


def test_allowed_name_may_resolve_to_a_private_address(origin: Origin) -> None:
    port = origin.host_port[1]
    url = origin.put("/x", b"hello").replace("127.0.0.1", "localhost")
    with Fetcher(Policy(frozenset({("localhost", port)}))) as fetcher, fetcher.get(url) as response:
        assert response.status_code == 200


def test_redirect_from_an_allowed_origin_to_another_port_is_refused(origin: Origin, fetcher: Fetcher) -> None:
    origin.misbehave("/start", servers.Redirect(to=f"http://127.0.0.1:{origin.host_port[1] - 1}/"))
    with pytest.raises(AddressRefused):
        fetcher.get(origin.url("/start"))


def test_redirects_are_followed_to_the_end(origin: Origin, fetcher: Fetcher) -> None:
    origin.put("/b", b"end")
    origin.misbehave("/a", servers.Redirect(to="b?token=1"))
    with fetcher.get(origin.url("/a")) as response:
        assert response.url == origin.url("/b?token=1")


def test_endless_redirects_end(origin: Origin, fetcher: Fetcher) -> None:
    origin.misbehave("/a", servers.Redirect(to="/a"))
    with pytest.raises(TooManyRedirects, match="more than 5 times"):
        fetcher.get(origin.url("/a"))
    assert origin.count("/a") == 6


def test_environment_proxy_is_not_used(origin: Origin, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    fetcher.get(origin.put("/x", b"hello")).close()
    assert origin.count("/x") == 1


def test_range_and_identity_are_asked_for(origin: Origin, fetcher: Fetcher) -> None:
    with fetcher.get(origin.put("/x", b"hello"), range_start=3) as response:
        assert b"".join(read_body(response)) == b"lo"
    assert origin.requests[0].headers["Accept-Encoding"] == "identity"


def test_the_end_of_a_range_is_included(origin: Origin, fetcher: Fetcher) -> None:
    with fetcher.get(origin.put("/x", b"hello"), range_start=1, range_end=3) as response:
        assert b"".join(read_body(response)) == b"ell"


@pytest.mark.parametrize("trouble", [servers.Cut(after=3), servers.Stall(after=3)])
def test_body_that_stops_is_cut(trouble: servers.Misbehaviour, origin: Origin, fetcher: Fetcher) -> None:
    url = origin.put("/x", b"hello")
    origin.misbehave("/x", trouble)
    with fetcher.get(url + "?sig=secret") as response, pytest.raises(Cut) as caught:
        list(read_body(response))
    assert "secret" not in str(caught.value)


def test_refused_connection_is_unreachable_in_plain_words(origin: Origin) -> None:
    with Fetcher(Policy(frozenset({("127.0.0.1", 9)}))) as fetcher, pytest.raises(Unreachable) as caught:
        fetcher.get("http://127.0.0.1:9/x?sig=secret")
    assert str(caught.value) == "http://127.0.0.1:9/x can't be reached: it refuses connections."


def test_broken_tls_is_unreachable_in_plain_words(origin: Origin, fetcher: Fetcher) -> None:
    with pytest.raises(Unreachable, match="TLS failed"):
        fetcher.get(origin.put("/x", b"hello").replace("http:", "https:"))


def test_shown_url_holds_no_secret() -> None:
    assert display_url("https://u:p@a.example:8/x.mp4?sig=1#frag") == "https://a.example:8/x.mp4"
