"""Playlists through `/proxy`: what they lead to comes through it as well."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from storage_app.playback.playlists import rewrite
from storage_app.playback.signing import Signer
from storage_app.playback.urls import keyring, signer
from tests.api.proxy_stage import DEADLINE, PLAYLIST, Stage, stage
from tests.servers.origin import Body, Headers, Redirect, Status

__all__ = ["stage"]

MEDIA = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nsegment.ts\n#EXTINF:4,\nhttp://other.example/b.ts?x=1\n"
ENDED = MEDIA + b"#EXT-X-ENDLIST\n"
MASTER = b'#EXTM3U\n#EXT-X-DEFINE:NAME="t",VALUE="7"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/index.m3u8?t={$t}\n'


def put(stage: Stage, path: str, text: bytes, content_type: str = "") -> str:
    url = stage.origin.put(path, text)
    stage.origin.misbehave(path, Headers(headers={"Content-Type": content_type}) if content_type else Headers())
    return url


def links(answer: requests.Response) -> list[str]:
    return [line for line in answer.text.splitlines() if line and not line.startswith("#")]


def leads_to(link: str) -> str:
    return parse_qs(urlsplit(link).query)["url"][0]


def test_links_lead_through_the_proxy_and_work(stage: Stage) -> None:
    stage.origin.put("/v/segment.ts", b"segment")
    answer = stage.get(put(stage, "/v/index.m3u8", ENDED))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, PLAYLIST)
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert not {"ETag", "Last-Modified", "Accept-Ranges", "Content-Range"} & set(answer.headers)
    assert [link.startswith("/proxy?exp=") for link in links(answer)] == [True, True]
    assert [leads_to(link) for link in links(answer)] == [
        stage.origin.url("/v/segment.ts"), "http://other.example/b.ts?x=1",
    ]  # fmt: skip
    assert requests.get(stage.site.url(links(answer)[0]), timeout=DEADLINE).content == b"segment"


def test_children_expire_with_their_parent(stage: Stage) -> None:
    url, expires = put(stage, "/e/index.m3u8", ENDED), signer().expires - 4321
    link = stage.site.url("/proxy?" + Signer(keyring().current, expires).exact(url))
    answers = [requests.get(link, timeout=DEADLINE) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert {parse_qs(urlsplit(child).query)["exp"][0] for child in links(answers[0])} == {str(expires)}


def test_variables_of_the_master_reach_its_children(stage: Stage) -> None:
    import_it = b'#EXTM3U\n#EXT-X-DEFINE:IMPORT="t"\n#EXTINF:1,\n{$t}.ts\n#EXT-X-ENDLIST\n'
    put(stage, "/m/low/index.m3u8", import_it)
    master = stage.get(put(stage, "/m/index.m3u8", MASTER))
    assert leads_to(links(master)[0]) == stage.origin.url("/m/low/index.m3u8?t=7")
    child = requests.get(stage.site.url(links(master)[0]), timeout=DEADLINE)
    assert leads_to(links(child)[0]) == stage.origin.url("/m/low/7.ts")


@pytest.mark.parametrize(
    ("text", "kept"), [(MEDIA, "no-store"), (ENDED, "public, max-age=60"), (MASTER, "public, max-age=60")]
)
def test_only_what_will_not_change_may_be_kept(stage: Stage, text: bytes, kept: str) -> None:
    assert stage.get(put(stage, "/k/index.m3u8", text)).headers["Cache-Control"] == kept


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "text/plain; charset=utf-8", "binary/octet-stream"]
)
@pytest.mark.parametrize("front", [b"", b"\xef\xbb\xbf", b"\r\n\n  "])
def test_a_playlist_is_known_by_its_first_line(stage: Stage, content_type: str, front: bytes) -> None:
    url = put(stage, "/s/unnamed", front + ENDED, content_type)
    whole = stage.get(url)
    assert (whole.headers["Content-Type"], len(links(whole))) == (PLAYLIST, 2)
    part = stage.get(url, Range="bytes=0-")
    assert (part.status_code, part.content) == (200, whole.content)


@pytest.mark.parametrize("path", ["/r/index.m3u8", "/r/INDEX.M3U", "/r/unnamed"])
def test_players_that_ask_for_a_range_get_all_of_it(stage: Stage, path: str) -> None:
    url = put(stage, path, ENDED, "audio/x-mpegURL" if path == "/r/unnamed" else "")
    whole = stage.get(url)
    for asked in ("bytes=0-", "bytes=5-9"):
        answer = stage.get(url, Range=asked)
        assert (answer.status_code, answer.content) == (200, whole.content)
        assert "Content-Range" not in answer.headers
    assert stage.get(url, If_None_Match='"x"').content == whole.content


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/h/index.m3u8", ""), ("/h/typed", "application/x-mpegurl"), ("/h/untold", "text/plain"), ("/h/untold", "")],
)
def test_head_has_the_headers_of_get(stage: Stage, path: str, content_type: str) -> None:
    url = put(stage, path, ENDED, content_type)
    get, head = stage.get(url), stage.get(url, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    changing = {"Date", "Connection"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }


def test_what_is_no_playlist_stays_as_it_is(stage: Stage) -> None:
    for content in (b"#EXTINF but no playlist", b"", b"\n\n\n", b"\x00\x01", b"#EXTM"):
        answer = stage.get(put(stage, "/n/unnamed", content, "text/plain"))
        assert (answer.content, answer.headers["Content-Type"]) == (content, "application/octet-stream")
        assert stage.get(stage.origin.url("/n/unnamed"), "HEAD").headers["Content-Length"] == str(len(content))


def test_links_are_relative_to_where_the_last_redirect_led(stage: Stage) -> None:
    put(stage, "/far/away/index.m3u8", ENDED)
    stage.origin.misbehave("/near.m3u8", Redirect(to="/far/away/index.m3u8"))
    assert leads_to(links(stage.get(stage.origin.url("/near.m3u8")))[0]) == stage.origin.url("/far/away/segment.ts")


def test_a_playlist_beyond_all_measure_is_refused(stage: Stage) -> None:
    for text in (b"#EXTM3U\n" + b"#" * (8 * 1024 * 1024), b"#EXTM3U\n" + b"#\n" * 260_000):
        answer = stage.get(put(stage, "/l/index.m3u8", text))
        assert (answer.status_code, answer.json()["error"]) == (502, "playlist_too_large")


def test_a_large_one_is_rewritten_as_a_small_one(stage: Stage) -> None:
    text = b"#EXTM3U\n" + b"".join(b"#EXTINF:4,\n%d.ts\n" % number for number in range(20_000)) + b"#EXT-X-ENDLIST\n"
    url = put(stage, "/g/index.m3u8", text)
    ours = signer()
    link = stage.site.url("/proxy?" + ours.exact(url))
    assert requests.get(link, timeout=DEADLINE).content == rewrite(text, url, ours)


def test_errors_of_a_playlist_are_those_of_any_file(stage: Stage) -> None:
    url = put(stage, "/x/index.m3u8", ENDED)
    stage.origin.misbehave("/x/index.m3u8", Status(code=404))
    assert (stage.get(url).status_code, stage.get(url, "HEAD").status_code) == (404, 404)
    stage.origin.misbehave("/x/index.m3u8", Body(content=ENDED[:50], length=500, content_type=PLAYLIST))
    cut = stage.get(url)
    assert (cut.status_code, cut.json()["error"]) == (502, "upstream_unreachable")


def test_no_name_is_taken_for_a_link_of_our_own(stage: Stage) -> None:
    hostile = b"#EXTM3U\n#EXTINF:1,\n/proxy?url=%s\n#EXT-X-ENDLIST\n" % quote("http://127.0.0.1:1/", safe="").encode()
    (link,) = links(stage.get(put(stage, "/o/index.m3u8", hostile)))
    assert leads_to(link).startswith(stage.origin.url("/proxy?url="))
