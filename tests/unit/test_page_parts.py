"""Small decisions on the way from a page to its video."""

from __future__ import annotations

import pytest

from queue_app.downloaders.browser_choice import Media, choose, kind_of, total_size
from queue_app.downloaders.page import _found, referer
from queue_app.downloaders.page_choice import DASH_ONLY, DRM, SEPARATE, Option, height_in_name, offer, pick
from queue_app.downloaders.page_extras import as_webvtt, image_suffix
from queue_app.downloaders.page_links import read_links

HEIGHTS = [Option(f"http://a/{height}", height, playlist=False) for height in (240, 480, 720, 1080)]
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n"


def playlist(seconds: int) -> str:
    return f"#EXTM3U\n#EXTINF:{seconds},\n0.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("wanted", "height"), [("720p", 720), ("800p", 720), ("144p", 240), ("2160p", 1080), (None, 1080), ("best", 1080)]
)
def test_the_nearest_height_not_above_is_taken(wanted: str | None, height: int) -> None:
    assert pick(HEIGHTS, wanted).height == height


def test_a_file_goes_before_a_playlist_of_the_same_height() -> None:
    options = [Option("file", 720, playlist=False), Option("list", 720, playlist=True)]
    assert pick(options, "720p").url == "file"


def test_a_known_height_goes_before_an_unknown_one() -> None:
    assert pick([Option("known", 360, playlist=False), Option("unknown", None, playlist=False)], "720p").url == "known"


def test_a_variant_is_fetched_by_its_master_playlist() -> None:
    variant = {"url": "http://a/v.m3u8", "manifest_url": "http://a/m.m3u8", "protocol": "m3u8_native", "height": 720}
    assert offer([variant]).options == [Option("http://a/m.m3u8", 720, playlist=True)]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"url": "http://a/v.mp4", "protocol": "http", "has_drm": True}, DRM),
        ({"url": "http://a/v.mpd", "protocol": "http_dash_segments"}, DASH_ONLY),
        ({"url": "http://a/v.mp4", "protocol": "http", "acodec": "none"}, SEPARATE),
        ({"url": "http://a/a.m4a", "protocol": "https", "vcodec": "none"}, SEPARATE),
    ],
)
def test_what_cannot_be_kept_has_its_reason(entry: dict[str, object], reason: str) -> None:
    found = offer([entry])
    assert (found.options, found.reasons) == ([], {reason})


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:video/mp4;base64,AAAA", "rtmp://a/b", "", "ffmpeg:x"])
def test_other_schemes_are_no_offer(url: str) -> None:
    assert offer([{"url": url, "protocol": "http"}]).options == []


def test_a_player_page_is_not_taken_for_a_video() -> None:
    found = offer([{"url": "http://a/player.php?v=1", "protocol": "http"}])
    assert (found.options, found.pages) == ([], ["http://a/player.php?v=1"])


@pytest.mark.parametrize(
    ("url", "height"), [("http://a/f-720p.mp4", 720), ("http://a/720p/f.mp4", None), ("http://a/1080p60.mp4", 1080)]
)
def test_a_name_may_tell_the_height(url: str, height: int | None) -> None:
    assert height_in_name(url) == height


def test_links_are_absolute_and_of_media_only() -> None:
    html = """<base href="/films/"><title> A
      film </title><a href="x.MP4">x</a><a href="x.pdf">p</a><a href="x.MP4">again</a>
      <iframe src="//b/player"></iframe><iframe src="javascript:1"></iframe><object data="http://["></object>
      <meta http-equiv="Refresh" content="0;URL='next.html'"><meta property="og:image" content="p.jpg">"""
    links = read_links(html, "https://a/page.html")
    assert (links.title, links.image) == ("A film", "https://a/films/p.jpg")
    assert links.media == ["https://a/films/x.MP4"]
    assert links.frames == ["https://b/player", "https://a/films/next.html"]


@pytest.mark.parametrize(
    ("page", "url", "said"),
    [
        ("https://a/p?q=1#f", "https://a/v.mp4", "https://a/p?q=1"),
        ("https://a/p?q=1", "https://b/v.mp4", "https://a/"),
        ("https://a/p", "https://a:8443/v.mp4", "https://a/"),
        ("https://a/p", "http://a/v.mp4", ""),
        ("http://a/p", "https://b/v.mp4", "http://a/"),
        ("http://u:p@a/p", "http://b/v.mp4", "http://a/"),
        ("about:blank", "http://b/v.mp4", ""),
    ],
)
def test_the_referer_is_what_a_browser_would_send(page: str, url: str, said: str) -> None:
    assert referer(page, url) == said


@pytest.mark.parametrize(
    ("url", "content_type", "resource", "kind"),
    [
        ("http://a/v", "application/vnd.apple.mpegurl", "xhr", "playlist"),
        ("http://a/v.m3u8", "text/plain", "fetch", "playlist"),
        ("http://a/v", "application/dash+xml", "fetch", "dash"),
        ("http://a/v", "video/mp4", "media", "file"),
        ("http://a/v.mp4", "application/octet-stream", "media", "file"),
        ("http://a/0.m4s", "video/mp4", "fetch", "piece"),
        ("http://a/0.ts", "video/mp2t", "xhr", "piece"),
        ("http://a/v.mp4", "text/html", "document", None),
        ("http://a/p.png", "image/png", "image", None),
    ],
)
def test_media_are_told_by_type_and_name(url: str, content_type: str, resource: str, kind: str | None) -> None:
    assert kind_of(url, content_type, resource) == kind


def test_the_master_playlist_goes_before_those_it_lists() -> None:
    seen = [
        Media("http://a/high.m3u8", "playlist", text=playlist(600)),
        Media("http://a/m.m3u8", "playlist", text=MASTER),
    ]
    chosen = choose(seen, {})
    assert chosen
    assert chosen.url == "http://a/m.m3u8"


def test_the_film_goes_before_the_advertisement() -> None:
    seen = [
        Media("http://a/ad.mp4", "file", size=2_000_000),
        Media("http://a/preview.m3u8", "playlist", text=playlist(15)),
        Media("http://a/m.m3u8", "playlist", text=MASTER),
        Media("http://a/low.m3u8", "playlist", text=playlist(1400)),
    ]
    chosen = choose(seen, {"http://a/ad.mp4": 15.0})
    assert chosen
    assert chosen.url == "http://a/m.m3u8"


def test_pieces_are_no_video() -> None:
    assert choose([Media("http://a/0.m4s", "piece", size=9**9), Media("http://a/v.mpd", "dash")], {}) is None


def test_the_whole_size_is_read_from_a_part() -> None:
    assert total_size({"content-range": "bytes 0-1/900", "content-length": "2"}) == 900
    assert total_size({"content-range": "bytes 0-1/*"}) is None


def test_subrip_becomes_webvtt() -> None:
    srt = b"\xef\xbb\xbf1\r\n00:00:01,5 --> 01:02:03,004\r\n<i>A</i> <b>&</b> <x>\r\n<font color=red>B</font>\r\n\r\n"
    srt += b"2\r\n00:00:04,000 --> 00:00:05,000 X1:1\r\n\r\n3\r\n00:00:06,000 --> 00:00:07,000\r\n1984 --> 1985\r\n"
    assert as_webvtt(srt) == (
        "WEBVTT\n\n00:00:01.500 --> 01:02:03.004\n<i>A</i> <b>&amp;</b> &lt;x&gt;\nB\n\n"
        "00:00:06.000 --> 00:00:07.000\n1984 --&gt; 1985\n"
    )


def test_webvtt_stays_as_it_is() -> None:
    text = "WEBVTT - title\n\n00:01.000 --> 00:02.000\na <b>b</b>\n"
    assert as_webvtt(text.replace("\n", "\r\n").encode()) == text


@pytest.mark.parametrize("body", [b"", b"<html>", b"WEBVTTX\n", b"just words", b"\x00\xff\xfe"])
def test_other_text_is_no_subtitles(body: bytes) -> None:
    assert as_webvtt(body) is None


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        (b"\xff\xd8\xff\xe0", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"RIFF\x00\x00\x00\x00WEBP", ".webp"),
        (b"<svg>", None), (b"GIF89a", None), (b"", None),
    ],
)  # fmt: skip
def test_images_are_told_by_their_first_bytes(image: bytes, suffix: str | None) -> None:
    assert image_suffix(image) == suffix


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(90, 90.0), (6.5, 6.5), (0, None), (-1, None), (None, None), ("90", None), (True, None), (1e400, None)],
)
def test_a_duration_is_seconds_or_unknown(said: object, seconds: float | None) -> None:
    assert _found("http://a/", {"url": "http://a/v.mp4", "duration": said}, watched=False).duration == seconds
