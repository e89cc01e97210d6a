"""A plain HLS stream: every segment, in order, or a failure that names what is wrong."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from queue_app.downloaders import Limits
from queue_app.downloaders.playlist import Playlist
from queue_app.downloaders.segments import read_media
from queue_app.downloaders.variants import select
from queue_app.failures import BadSource, Cancelled, ExpiredUrl, Failure, Forbidden, Gone, TooLarge, Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.videos import SECONDS, Videos
from tests.unit.downloads import Get, Getter

LIMITS = Limits(max_bytes=100_000_000, hls_connections=4, max_segments=1000, retry_wait=0.01)
PACKET = b"G" + bytes(187)
END = "#EXT-X-ENDLIST\n"


@pytest.fixture
def get(origin: Origin, tmp_path: Path) -> Get:
    """Download a path of the origin."""
    folder = tmp_path / "download"
    folder.mkdir()
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/v.m3u8", **options: getter(path, **options)


def segment(number: int) -> bytes:
    """100 transport packets that tell their number."""
    return (b"G" + number.to_bytes(2, "big") + bytes(185)) * 100


def stream(origin: Origin, count: int = 20, extra: str = "", end: str = END) -> bytes:
    """Serve /v.m3u8 with `count` segments of 1.5 s; returns what they are when joined."""
    lines = "".join(f"#EXTINF:1.5,\ns{n}.ts\n" for n in range(count))
    origin.put("/v.m3u8", f"#EXTM3U\n{extra}{lines}{end}".encode())
    for n in range(count):
        origin.put(f"/s{n}.ts", segment(n))
    return b"".join(segment(n) for n in range(count))


def test_segments_are_joined_in_order(origin: Origin, get: Get) -> None:
    whole = stream(origin, 60)
    found = get()
    assert found.path.read_bytes() == whole
    assert (found.expected_duration, found.container, found.size) == (90.0, "mpegts", len(whole))


def test_real_stream_is_the_sum_of_its_files(origin: Origin, videos: Videos, get: Get) -> None:
    shutil.copytree(videos.hls_ts, origin.folder / "v")
    found = get("/v/master.m3u8")
    assert found.path.read_bytes() == b"".join((videos.hls_ts / f"seg{n}.ts").read_bytes() for n in range(SECONDS))


def test_fragmented_stream_begins_with_its_map(origin: Origin, videos: Videos, get: Get) -> None:
    shutil.copytree(videos.hls_fmp4, origin.folder / "v")
    found = get("/v/index.m3u8")
    assert found.container == "fmp4"
    assert found.path.read_bytes().startswith((videos.hls_fmp4 / "init.mp4").read_bytes())


@pytest.mark.parametrize("content_type", ["application/x-mpegURL; charset=utf-8", "text/plain"])
def test_playlist_is_told_by_type_or_content(content_type: str, origin: Origin, get: Get) -> None:
    stream(origin, 2)
    text = (origin.folder / "v.m3u8").read_bytes()
    origin.misbehave("/watch", servers.Body(content=text, content_type=content_type))
    assert get("/watch").container == "mpegts"


def test_bom_and_crlf_are_understood(origin: Origin, get: Get) -> None:
    stream(origin, 2)
    text = (origin.folder / "v.m3u8").read_bytes()
    origin.put("/v.m3u8", b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert get().expected_duration == 3.0


MASTER = "#EXTM3U\n" + "".join(
    f"#EXT-X-STREAM-INF:BANDWIDTH={h * 1000},RESOLUTION={h * 2}x{h}\n{h}.m3u8\n" for h in (720, 360, 1080)
)


@pytest.mark.parametrize(
    ("resolution", "height"),
    [
        (None, 1080),
        ("720p", 720),
        ("1080p", 1080),
        ("900p", 720),
        ("240p", 360),
        ("2160p", 1080),
        ("best", 1080),
    ],
)
def test_variant_fits_the_wanted_resolution(resolution: str | None, height: int) -> None:
    master = Playlist.read(MASTER.encode(), "http://a.example/x/m.m3u8?t=1")
    assert select(master, resolution).main.url == f"http://a.example/x/{height}.m3u8"


def test_variant_without_heights_is_chosen_by_bandwidth() -> None:
    text = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-STREAM-INF:BANDWIDTH=3\nb\n"
    assert select(Playlist.read(text, "http://a.example/m.m3u8"), "720p").main.url == "http://a.example/b"


def test_master_that_points_to_a_master_is_refused(origin: Origin, get: Get) -> None:
    origin.put("/m.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nm.m3u8\n")
    with pytest.raises(BadSource, match="another master"):
        get("/m.m3u8")


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"', "DRM, which Reelkeep does not touch"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="com.widevine"', "DRM"),
        ("#EXT-X-GAP", "missing .EXT-X-GAP"),
        ("#EXT-X-I-FRAMES-ONLY", "not supported"),
        ("#EXTINF:1,", "malformed"),
        ("#EXTINF:nan,\nx.ts", "malformed"),
        ("#EXTINF:x,\nx.ts", "malformed"),
        ("#EXTINF:-5,\nx.ts", "malformed"),
        ("#EXTINF:1,\nhttp://[::1/x.ts", "malformed"),
        ("#" + "x" * 70_000, "endless line"),
    ],
)
def test_what_is_not_supported_is_named(tag: str, reason: str, origin: Origin, get: Get) -> None:
    stream(origin, 3, extra=f"{tag}\n")
    with pytest.raises(BadSource, match=reason):
        get()


@pytest.mark.parametrize(
    "tag",
    [
        "#EXT-X-KEY:METHOD=NONE",
        "#EXT-X-DISCONTINUITY-SEQUENCE:4",
        "#EXT-X-UNHEARD-OF:1",
        "# remark, \"quoted'",
    ],
)
def test_harmless_tags_are_passed_over(tag: str, origin: Origin, get: Get) -> None:
    whole = stream(origin, 3, extra=f"{tag}\n")
    assert get().path.read_bytes() == whole


@pytest.mark.parametrize("text", [b"#EXTM3U\n", b"#EXTM3U\n" + END.encode(), b"#EXTM3U\n\xff\xfe"])
def test_playlist_without_segments_is_refused(text: bytes, origin: Origin, get: Get) -> None:
    origin.put("/v.m3u8", text)
    with pytest.raises(BadSource):
        get()


def test_web_page_instead_of_a_playlist_is_refused(origin: Origin, get: Get) -> None:
    origin.misbehave("/v.m3u8", servers.Body(content=b"<html>", content_type="text/html"))
    with pytest.raises(BadSource, match="web page"):
        get()


def test_too_many_segments_are_refused_unread() -> None:
    text = "#EXTM3U\n" + "#EXTINF:1,\ns.ts\n" * 50_001 + END
    with pytest.raises(BadSource, match="more than 50000 segments"):
        read_media(Playlist.read(text.encode(), "http://a.example/v.m3u8"), Limits(max_bytes=1))


def test_endless_playlist_is_refused(origin: Origin, get: Get) -> None:
    stream(origin, 500)
    with pytest.raises(BadSource, match="larger than 4096 bytes"):
        get(limits=Limits(max_bytes=10**9, max_playlist_bytes=4096))


def test_missing_segment_is_named(origin: Origin, get: Get) -> None:
    stream(origin)
    (origin.folder / "s6.ts").unlink()
    with pytest.raises(BadSource, match="Segment 7 of 20 is missing"):
        get()


@pytest.mark.parametrize(
    ("trouble", "failure", "reason"),
    [
        (servers.Status(code=403), ExpiredUrl, "Segment 7 of 20"),
        (servers.Status(code=503), Transient, "Segment 7 of 20"),
        (servers.Cut(after=1000), Transient, "promised 18800 bytes, sent 1000"),
        (servers.Body(content=b"<html>"), BadSource, "Segment 7 of 20: .* web page"),
        (servers.Body(content=b""), BadSource, "Segment 7 of 20: .* empty file"),
        (servers.Redirect(to="http://10.0.0.5/s.ts"), Forbidden, "10.0.0.5 of host"),
    ],
)
def test_bad_segment_fails_the_stream(
    trouble: servers.Misbehaviour, failure: type[Failure], reason: str, origin: Origin, get: Get
) -> None:
    stream(origin)
    origin.misbehave("/s6.ts", trouble)
    with pytest.raises(failure, match=reason):
        get()


@pytest.mark.parametrize(
    "trouble",
    [
        servers.Status(code=503, times=3),
        servers.Cut(after=1000, times=3),
        servers.Stall(after=10, times=1),
        servers.Body(content=segment(6)[:300], length=18800, times=2),
    ],
)
def test_segment_is_asked_for_again(trouble: servers.Misbehaviour, origin: Origin, get: Get) -> None:
    whole = stream(origin)
    origin.misbehave("/s6.ts", trouble)
    assert get().path.read_bytes() == whole


def test_segment_that_is_no_video_is_refused(origin: Origin, get: Get) -> None:
    stream(origin)
    origin.put("/s0.ts", bytes(range(256)) * 9)
    with pytest.raises(BadSource, match="MPEG-TS was expected"):
        get()


def test_segment_at_a_private_address_is_forbidden(origin: Origin, get: Get) -> None:
    stream(origin, 3, extra="#EXTINF:1,\nhttp://169.254.169.254/s.ts\n")
    with pytest.raises(Forbidden, match="not public"):
        get()


def test_missing_playlist_is_gone(get: Get) -> None:
    with pytest.raises(Gone):
        get("/none.m3u8")


def test_stream_over_the_limit_is_refused(origin: Origin, get: Get) -> None:
    stream(origin)
    with pytest.raises(TooLarge):
        get(limits=Limits(max_bytes=100_000))


def test_cancelling_does_not_wait_for_silent_segments(origin: Origin, get: Get) -> None:
    stream(origin)
    for n in range(20):
        origin.misbehave(f"/s{n}.ts", servers.Stall(after=2000))

    def cancel(done: int, _total: int | None) -> None:
        if done > 0:
            raise Cancelled

    started = time.monotonic()
    with pytest.raises(Cancelled):
        get(progress=cancel)
    assert time.monotonic() - started < 0.5
