"""Where reading a page comes to nothing, real Chromium looks before the job fails."""

from __future__ import annotations

import pytest

from queue_app.failures import BadSource, Forbidden, Gone, Transient
from tests.servers import origin as servers
from tests.servers.videos import Videos
from tests.unit.page_downloads import Pages

SCRIPT = """<script>
  const video = document.createElement('video');
  video.src = '/fil' + 'm.mp4';
  document.body.append(video);
</script>"""
DASH = '<video><source src="/film.mpd" type="application/dash+xml"></video>'
MPD = b"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT6S">
  <Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000" codecs="avc1.42c00d">
  <BaseURL>x.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>"""


def body(html: str) -> str:
    return f"<!doctype html><html><body>{html}</body></html>"


def test_a_read_url_that_answers_a_page_leaves_it_to_the_browser(pages: Pages, videos: Videos) -> None:
    pages.put("<html>Log in first</html>", "/login.html")
    pages.origin.misbehave("/decoy.mp4", servers.Redirect(to="/login.html"))
    got = pages.download(pages.put(body(f'<a href="/decoy.mp4">the film</a>{SCRIPT}')))
    assert got.path.read_bytes() == videos.mp4.read_bytes()


def test_a_page_that_gives_a_page_to_both_is_tried_again(pages: Pages) -> None:
    for path in ("/decoy.mp4", "/film.mp4"):
        pages.origin.misbehave(path, servers.Body(content=b"<html>Log in first</html>"))
    with pytest.raises(Transient, match=r"led to no video\. .*/film\.mp4 answered a web page"):
        pages.download(pages.put(body(f'<a href="/decoy.mp4">the film</a>{SCRIPT}')))


def test_dash_in_the_html_does_not_hide_what_the_browser_plays(pages: Pages, videos: Videos) -> None:
    pages.origin.put("/film.mpd", MPD)
    got = pages.download(pages.put(body(DASH + SCRIPT)))
    assert got.path.read_bytes() == videos.mp4.read_bytes()


def test_dash_counts_when_the_browser_plays_nothing(pages: Pages) -> None:
    pages.origin.put("/film.mpd", MPD)
    pages.seconds = 12
    with pytest.raises(BadSource, match="only as DASH"):
        pages.download(pages.put(body(DASH)))


@pytest.mark.parametrize("status", [403, 404])
def test_a_page_that_refuses_the_reader_is_watched(pages: Pages, videos: Videos, status: int) -> None:
    pages.origin.misbehave("/film.html", servers.Status(code=status, times=1, skip=1))
    got = pages.download(pages.put(body(SCRIPT)))
    assert got.path.read_bytes() == videos.mp4.read_bytes()


@pytest.mark.parametrize(("status", "failure"), [(403, Forbidden), (404, Gone)])
def test_a_video_on_an_error_page_is_not_taken(pages: Pages, status: int, failure: type[Exception]) -> None:
    error = servers.Status(code=status, headers={"Refresh": "0; url=/other.html"}, skip=1)
    pages.put(body(SCRIPT), "/other.html")
    pages.origin.misbehave("/film.html", error)
    with pytest.raises(failure, match=f"answered {status}"):
        pages.download(pages.put(body("<p>nothing here")))
    assert pages.origin.count("/film.html") == 3
