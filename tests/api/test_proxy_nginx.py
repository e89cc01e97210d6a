"""`/proxy` behind the nginx that we ship: bytes go past Python, and everything else is as without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests

from storage_app.playback.upstream_nginx import PlainFolders
from storage_app.playback.urls import signer
from tests.api.proxy_stage import DEADLINE, PLAYLIST
from tests.servers.endless import Endless
from tests.servers.nginx import PROGRAM, Nginx
from tests.servers.origin import Headers, Misbehaviour, Origin, Redirect, Status
from tests.servers.site import Site

CONTENT = bytes(range(256)) * 4000

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no nginx to test with (make .venv/nginx.ok)")


class Front:
    """nginx, the site behind it, and origins."""

    def __init__(self, site: Site, nginx: Nginx, origin: Origin, endless: Endless) -> None:
        self.site, self.nginx, self.origin, self.endless = site, nginx, origin, endless

    def get(self, url: str, **headers: str) -> requests.Response:
        """What a viewer gets from nginx."""
        return self._get(self.nginx.base_url, url, headers)

    def get_directly(self, url: str, **headers: str) -> requests.Response:
        """What a viewer would get from the site behind it."""
        return self._get(self.site.base_url, url, headers)

    def is_left_to_nginx(self, url: str) -> bool:
        """Would the site, asked by nginx, tell it to fetch from the upstream by itself?"""
        with self._get(self.site.base_url, url, {"X_Reelkeep_Accel": "on"}) as answer:
            return "X-Accel-Redirect" in answer.headers

    def make_known(self, url: str) -> None:
        """Have the site see that there are plain bytes."""
        self.get(url).close()
        assert self.is_left_to_nginx(url)

    def _get(self, base: str, url: str, headers: dict[str, str]) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(f"{base}/proxy?{signer().exact(url)}", headers=sent, timeout=DEADLINE, stream=True)


@pytest.fixture(scope="module")
def front(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder: Path = tmp_path_factory.mktemp("front")
    (folder / "origin").mkdir()
    with ExitStack() as running:
        origin = running.enter_context(Origin(folder / "origin"))
        endless = running.enter_context(Endless())
        site = running.enter_context(Site(folder / "site", [origin.host_port, endless.host_port], X_ACCEL="true"))
        yield Front(site, running.enter_context(Nginx(folder / "nginx", site.port)), origin, endless)


def test_bytes_come_from_nginx(front: Front) -> None:
    """They go on coming while Python is stopped."""
    front.make_known(front.endless.base_url + "/endless.mp4")
    with front.get(front.endless.base_url + "/endless.mp4") as answer:
        pieces = answer.iter_content(1 << 20)
        next(pieces)
        for worker in front.site.workers():
            worker.suspend()
        try:
            assert sum(len(next(pieces)) for _ in range(50)) > 20_000_000
        finally:
            for worker in front.site.workers():
                worker.resume()


@pytest.mark.parametrize("asked", ["", "bytes=5-99", "bytes=0-", "bytes=0-1,5-6"])
def test_viewers_get_the_same_with_and_without_nginx(front: Front, asked: str) -> None:
    url, headers = front.origin.put("/a.mp4", CONTENT), {"Range": asked} if asked else {}
    front.make_known(url)
    one, other = front.get(url, **headers), front.get_directly(url, **headers)
    assert (one.status_code, one.content) == (other.status_code, other.content)
    of_servers = {"Date", "Server", "Connection"}
    assert {k: v for k, v in one.headers.items() if k not in of_servers} == {
        k: v for k, v in other.headers.items() if k not in of_servers
    }


def test_what_nginx_may_not_decide_comes_back(front: Front) -> None:
    url = front.origin.put("/b.mp4", CONTENT)
    front.origin.misbehave("/moved.mp4", Redirect(to="/b.mp4"))
    front.make_known(url)
    assert front.get(front.origin.url("/moved.mp4")).content == CONTENT
    front.origin.misbehave("/inside.mp4", Redirect(to="http://127.0.0.1:1/x.mp4"))
    for inside in (front.origin.url("/inside.mp4"), "http://127.0.0.1:1/x.mp4", "http://localhost/x.mp4"):
        assert front.get(inside).json()["error"] == "address_refused"
    for code, told in ((404, 404), (500, 502), (503, 503)):
        front.origin.misbehave("/b.mp4")
        front.make_known(url)
        front.origin.misbehave("/b.mp4", Status(code=code))
        answer = front.get(url)
        assert (answer.status_code, answer.json()["error"]) == (told, "upstream_status")


@pytest.mark.parametrize(
    ("odd", "status"),
    [
        (Headers(headers={"Content-Encoding": "gzip"}), 502),
        (Status(code=206, headers={"Content-Range": "bytes 0-5/6"}), 502),
        (Redirect(to="/odd/b.ts"), 200),
        (Headers(headers={"Content-Type": PLAYLIST}), 200),
        (Headers(headers={"Content-Type": ""}), 200),
    ],
)
def test_what_is_not_plain_bytes_is_not_left_to_nginx(front: Front, odd: Misbehaviour, status: int) -> None:
    for name in ("a", "b"):
        url = front.origin.put(f"/odd/{name}.ts", b"#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    front.origin.misbehave("/odd/b.ts", odd if status == 502 else Headers(headers={"Content-Type": PLAYLIST}))
    front.origin.misbehave("/odd/a.ts", odd)
    for _ in range(2):
        answer = front.get(front.origin.url("/odd/a.ts"))
        assert answer.status_code == status
        assert (b"\n/proxy?exp=" in answer.content) == (status == 200)
        assert not front.is_left_to_nginx(url)


@pytest.mark.parametrize("then", [Redirect(to="/once/b.ts"), Status(code=404)])
def test_after_coming_back_each_header_comes_once(front: Front, then: Misbehaviour) -> None:
    front.origin.misbehave("/once/a.ts")
    url, _ = (front.origin.put(f"/once/{name}.ts", CONTENT) for name in ("a", "b"))
    front.make_known(url)
    front.origin.misbehave("/once/a.ts", then)
    with closing(HTTPConnection("127.0.0.1", front.nginx.port, timeout=DEADLINE)) as viewer:
        viewer.request("GET", f"/proxy?{signer().exact(url)}")
        names = [name.lower() for name, _ in viewer.getresponse().getheaders()]
    assert sorted(names) == sorted(set(names))
    assert {"access-control-allow-origin", "cache-control"} < set(names)


def test_a_folder_that_turns_out_otherwise_is_left_to_nginx_no_more(front: Front) -> None:
    url, other = (front.origin.put(f"/turning/{name}.ts", CONTENT) for name in ("a", "b"))
    front.make_known(url)
    assert front.is_left_to_nginx(other)
    assert not front.is_left_to_nginx(front.origin.put("/turning/a.mp4", CONTENT))
    assert not front.is_left_to_nginx(front.origin.put("/another/a.ts", CONTENT))
    front.origin.misbehave("/turning/b.ts", Redirect(to="/turning/a.ts"))
    assert front.get(other).content == CONTENT
    assert not front.is_left_to_nginx(url)


def test_only_so_many_folders_are_remembered() -> None:
    folders = PlainFolders(most=2)
    for number in (1, 2, 1, 3):
        folders.came(f"https://films.example/{number}/a.ts")
    assert [number for number in (1, 2, 3) if folders.holds(f"https://films.example/{number}/b.ts?x=1")] == [1, 3]


def test_playlists_are_rewritten_behind_it(front: Front) -> None:
    text = b"#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"
    for path, content_type in (("/p.m3u8", ""), ("/p", "text/plain"), ("/p.mp3u", PLAYLIST)):
        url = front.origin.put(path, text)
        front.origin.misbehave(path, Headers(headers={"Content-Type": content_type} if content_type else {}))
        answer = front.get(url, Range="bytes=0-")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, PLAYLIST)
        assert b"\n/proxy?exp=" in answer.content


def test_a_viewer_cannot_ask_for_the_inside_of_nginx(front: Front) -> None:
    url = front.origin.put("/c.mp4", CONTENT)
    answer = front.get(url, X_Reelkeep_Accel="off", X_Accel_Redirect="/_reelkeep/whole/etc/passwd")
    assert answer.content == CONTENT
    assert not [name for name in answer.headers if name.lower().startswith(("x-accel", "x-reelkeep"))]
