"""A page leads to the video on it, read by yt-dlp's generic extractors behind the guard proxy."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from queue_app.failures import BadSource, Cancelled, ExpiredUrl, Forbidden, Gone, Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.unit.page_downloads import JPEG, Pages, children

SRT = b"1\n00:00:01,000 --> 00:00:02,000\nHello\n"
VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHallo\n"


@pytest.fixture
def pages(origin: Origin, tmp_path: Path, videos: Videos) -> Pages:
    """The origin with a film at /film.mp4."""
    folder = tmp_path / "job"
    folder.mkdir()
    origin.put("/film.mp4", videos.mp4.read_bytes())
    return Pages(origin, folder)


def linked_data(origin: Origin) -> str:
    described = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": "A film",
        "duration": "PT6S",
        "contentUrl": origin.url("/film.mp4"),
    }
    return f'<script type="application/ld+json">{json.dumps(described)}</script>'


SIMPLE = {
    "video": '<video src="film.mp4"></video>',
    "source": '<video><source src="/film.mp4" type="video/mp4"></video>',
    "og:video": '<html><head><meta property="og:video" content="BASE/film.mp4"></head></html>',
    "twitter": '<html><meta name="twitter:player:stream" content="BASE/film.mp4"></html>',
    "link": '<html>Take <a href="notes.pdf">notes</a> and <a href="film.mp4">the film</a>.</html>',
}


@pytest.mark.parametrize("html", SIMPLE.values(), ids=SIMPLE.keys())
def test_a_page_leads_to_its_video(pages: Pages, videos: Videos, html: str) -> None:
    html = html.replace("BASE", pages.origin.base_url)
    got = pages.download(pages.put(f"<title>A film</title>{html}"))
    assert got.path.read_bytes() == videos.mp4.read_bytes()
    assert got.page
    assert got.page.title == "A film"
    assert not children()


def test_linked_data_tells_title_and_duration(pages: Pages, videos: Videos) -> None:
    got = pages.download(pages.put(f"<html>{linked_data(pages.origin)}</html>"))
    assert got.path.read_bytes() == videos.mp4.read_bytes()
    assert got.page
    assert (got.page.title, got.page.duration) == ("A film", 6.0)


def test_frames_are_followed(pages: Pages, videos: Videos) -> None:
    pages.put('<title>Player</title><video src="/film.mp4"></video>', "/inner.html")
    pages.put('<iframe src="/inner.html"></iframe>', "/middle.html")
    got = pages.download(pages.put('<title>A film</title><iframe src="/middle.html"></iframe>'))
    assert got.size == videos.mp4.stat().st_size
    assert got.page
    assert got.page.title == "A film"


@pytest.mark.parametrize("name", ["/next", "/film.html"])
def test_redirects_in_html_are_followed_but_not_in_circles(pages: Pages, name: str) -> None:
    pages.put('<video src="/film.mp4"></video>', "/next")
    pages.origin.misbehave("/next", servers.Headers(headers={"Content-Type": "text/html"}))
    page = pages.put(f'<html><meta http-equiv="refresh" content="0; url={name}"></html>')
    if name == "/next":
        assert pages.download(page).page
    else:
        with pytest.raises(Transient, match="no video was found"):
            pages.download(page)


def test_a_stream_on_a_page_is_followed(pages: Pages, videos: Videos) -> None:
    for file in videos.hls_ts.iterdir():
        pages.origin.put(f"/hls/{file.name}", file.read_bytes())
    got = pages.download(pages.put('<video src="/hls/index.m3u8"></video>'))
    assert got.container == "mpegts"
    assert got.page


@pytest.mark.parametrize(("wanted", "name"), [("480p", "/360.mp4"), ("720p", "/720.mp4"), (None, "/720.mp4")])
def test_the_wanted_height_is_chosen(pages: Pages, videos: Videos, wanted: str | None, name: str) -> None:
    html = "".join(f'<source src="/{height}.mp4" label="{height}p">' for height in (720, 360))
    for height in (360, 720):
        pages.origin.put(f"/{height}.mp4", videos.mp4.read_bytes())
    pages.download(pages.put(f"<video>{html}</video>"), resolution=wanted)
    assert [seen.path for seen in pages.origin.requests if seen.path.endswith(".mp4")] == [name]


def test_the_largest_of_several_videos_is_taken(pages: Pages, videos: Videos) -> None:
    pages.origin.put("/preview.mp4", videos.mp4.read_bytes()[:1000])
    got = pages.download(pages.put('<video src="/preview.mp4"></video><video src="/film.mp4"></video>'))
    assert got.size == videos.mp4.stat().st_size


def test_a_broken_video_does_not_hide_a_good_one(pages: Pages, videos: Videos) -> None:
    broken = '<video src="/missing.m3u8"></video><video src="http://[/x.mp4"></video>'
    got = pages.download(pages.put(f'{broken}<video src="/film.mp4"></video>'))
    assert got.size == videos.mp4.stat().st_size


def test_an_endless_playlist_on_a_page_is_read_as_far_as_is_sensible(pages: Pages) -> None:
    endless = b"#EXTM3U\n" + b"#EXTINF:1,\nx.ts\n" * 2_000_000
    pages.origin.misbehave(
        "/endless.m3u8", servers.Body(content=endless, content_type="application/x-mpegurl", times=1, length=None)
    )
    pages.download(pages.put('<video src="/endless.m3u8"></video><video src="/film.mp4"></video>'))
    assert pages.origin.served("/endless.m3u8") < len(endless)


def test_picture_and_subtitles_lie_beside_the_video(pages: Pages) -> None:
    pages.origin.put("/poster", JPEG)
    pages.origin.put("/en.srt", SRT)
    pages.origin.put("/de.vtt", VTT)
    tracks = '<track kind="subtitles" srclang="en" src="/en.srt"><track kind="captions" srclang="de" src="/de.vtt">'
    got = pages.download(pages.put(f'<video src="/film.mp4" poster="/poster">{tracks}</video>'))
    assert got.page
    assert got.page.thumbnail
    assert (got.page.thumbnail.suffix, got.page.thumbnail.read_bytes()) == (".jpg", JPEG)
    assert {one.language: one.path.read_text().partition("\n")[0] for one in got.subtitles} == {
        "en": "WEBVTT",
        "de": "WEBVTT",
    }


@pytest.mark.parametrize("body", [b"<html>not a picture", JPEG + bytes(6_000_000)])
def test_a_bad_picture_does_not_fail_the_video(pages: Pages, body: bytes) -> None:
    pages.origin.put("/poster", body)
    track = '<track kind="subtitles" srclang="en" src="/missing.vtt">'
    got = pages.download(pages.put(f'<video src="/film.mp4" poster="/poster">{track}</video>'))
    assert got.page
    assert (got.page.thumbnail, got.subtitles) == (None, ())
    assert pages.left() == {"source.mp4", "direct.resume.json"}


def test_the_media_is_asked_for_as_the_page_would(pages: Pages) -> None:
    page = pages.put('<video src="/film.mp4"></video>')
    pages.origin.misbehave(
        "/film.html", servers.Headers(headers={"Set-Cookie": "pass=1; Path=/", "Content-Type": "text/html"})
    )
    pages.origin.misbehave("/film.mp4", servers.Needs(headers={"Referer": page, "Cookie": "pass=1"}))
    assert pages.download(page).page


@pytest.mark.parametrize(
    ("status", "failure"), [(404, Gone), (410, Gone), (401, Forbidden), (403, Forbidden), (503, Transient)]
)
def test_the_status_of_a_page_decides(pages: Pages, status: int, failure: type[Exception]) -> None:
    pages.origin.misbehave("/film.html", servers.Status(code=status))
    with pytest.raises(failure, match=str(status)):
        pages.download(pages.put(""))


def test_a_page_without_a_video_says_what_was_tried(pages: Pages) -> None:
    with pytest.raises(Transient, match=r"no video was found \(reading it: no video; the browser extra"):
        pages.download(pages.put("<title>Nothing</title><p>here") + "?token=secret")
    assert pages.left() == set()


def test_a_failure_of_a_page_keeps_its_secrets(pages: Pages) -> None:
    with pytest.raises(Transient) as caught:
        pages.download(pages.put("<title>Nothing</title><p>here") + "?token=secret")
    assert "secret" not in str(caught.value)


def test_a_huge_page_is_read_as_far_as_is_sensible(pages: Pages) -> None:
    html = '<html><video src="/film.mp4"></video>' + "<p>text</p>" * 1_000_000
    assert pages.download(pages.put(html)).page
    assert pages.origin.served("/film.html") < 2 * len(html)


def test_a_page_that_never_ends_is_left(pages: Pages) -> None:
    pages.seconds = 2
    page = pages.put("<html>" + "<p>text</p>" * 10_000)
    pages.origin.misbehave("/film.html", servers.Slow(bytes_per_second=4000))
    with pytest.raises(Transient, match="took longer than 2 s"):
        pages.download(page)
    assert not children()


def test_a_private_video_is_refused(pages: Pages, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with servers.Origin(tmp_path / "inside") as inside:
        inside.put("/film.mp4", b"secret")
        pages.put(f'<iframe src="{inside.url("/page.html")}"></iframe>', "/frame.html")
        with pytest.raises(Forbidden, match="is not public"):
            pages.download(pages.put(f'<video src="{inside.url("/film.mp4")}"></video>'))
        with pytest.raises(Transient, match="is not public"):
            pages.download(pages.put(f'<video src="{inside.url("/film.m3u8")}"></video>'))
        with pytest.raises(Transient, match=r"may not be fetched\. Address 127\.0\.0\.1"):
            pages.download(pages.origin.url("/frame.html"))
        assert not inside.requests


@pytest.mark.parametrize("path", ["/film2.mp4", "/film2.mkv", "/film2.m3u8"])
def test_a_page_under_a_videos_name_is_refused(pages: Pages, path: str) -> None:
    body = servers.Body(content=b'<!doctype html><video src="/film.mp4"></video>', content_type="text/html")
    pages.origin.misbehave(path, body)
    with pytest.raises(BadSource, match="web page"):
        pages.download(pages.origin.url(path))
    assert pages.origin.count("/film.mp4") == 0


@pytest.mark.parametrize("path", ["/film.mp4", "/stream"])
def test_a_page_instead_of_the_media_is_tried_again(pages: Pages, path: str) -> None:
    pages.put("<html>Log in first</html>", "/login.html")
    pages.origin.misbehave(path, servers.Redirect(to="/login.html"))
    with pytest.raises(Transient, match=r"reading it: .*/login\.html answered a web page.*; the browser extra"):
        pages.download(pages.put(f'<video src="{path}"></video>'))


def test_json_is_no_page(pages: Pages) -> None:
    pages.origin.misbehave("/api", servers.Body(content=b'{"error": "no"}', content_type="application/json"))
    with pytest.raises(BadSource, match="other text"):
        pages.download(pages.origin.url("/api"))


def test_only_dash_is_refused_with_the_reason(pages: Pages) -> None:
    mpd = b"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
      mediaPresentationDuration="PT6S"><Period><AdaptationSet mimeType="video/mp4">
      <Representation id="1" bandwidth="1000" codecs="avc1.42c00d"><BaseURL>film.mp4</BaseURL></Representation>
      </AdaptationSet></Period></MPD>"""
    pages.origin.put("/film.mpd", mpd)
    with pytest.raises(BadSource, match="only as DASH"):
        pages.download(pages.put('<video><source src="/film.mpd" type="application/dash+xml"></video>'))


def test_an_expired_url_is_renewed_by_its_page_in_the_middle(pages: Pages, videos: Videos) -> None:
    size = videos.mp4.stat().st_size
    cut, expired = servers.Cut(after=size // 2, times=1), servers.Status(code=403, times=1, skip=1)
    pages.origin.misbehave("/film.mp4", cut, expired)
    got = pages.download(pages.put('<video src="/film.mp4?sig=1"></video>'))
    assert got.path.read_bytes() == videos.mp4.read_bytes()
    assert got.resumed
    assert pages.origin.count("/film.html") == 3
    assert pages.origin.served("/film.mp4") < 1.2 * size


def test_a_url_that_stays_expired_is_expired(pages: Pages) -> None:
    pages.origin.misbehave("/film.mp4", servers.Status(code=403))
    with pytest.raises(ExpiredUrl, match="twice"):
        pages.download(pages.put('<video src="/film.mp4"></video>'))
    assert pages.origin.count("/film.mp4") == 2


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_the_page_of_a_direct_url_gives_a_new_one(pages: Pages, videos: Videos, status: int) -> None:
    pages.origin.misbehave("/old.mp4", servers.Status(code=status))
    page = pages.put('<video src="/film.mp4"></video>')
    got = pages.download(pages.origin.url("/old.mp4"), page_url=page)
    assert got.path.read_bytes() == videos.mp4.read_bytes()
    assert got.page
    assert got.page.url == page


def test_the_page_of_a_good_direct_url_is_not_asked(pages: Pages) -> None:
    got = pages.download(pages.origin.url("/film.mp4"), page_url=pages.put("<html></html>"))
    assert got.page is None
    assert pages.origin.count("/film.html") == 0


def test_a_refused_address_is_not_taken_for_an_expired_url(pages: Pages) -> None:
    with pytest.raises(Forbidden, match="not public"):
        pages.download("http://127.0.0.1:9/x.mp4", page_url=pages.put("<html></html>"))
    assert pages.origin.count("/film.html") == 0


def test_cancelling_ends_the_reader_at_once(pages: Pages) -> None:
    page = pages.put("<html>" + "<p>text</p>" * 100_000)
    pages.origin.misbehave("/film.html", servers.Slow(bytes_per_second=4000))
    deadline = time.monotonic() + 20

    def cancel(_done: int, _total: int | None) -> None:
        if pages.origin.count("/film.html") >= 2:
            raise Cancelled("test")
        assert time.monotonic() < deadline

    with pytest.raises(Cancelled):
        pages.download(page, progress=cancel)
    assert not children()
