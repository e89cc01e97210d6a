"""A stream that isn't whole is refused by name, and one that is only in trouble isn't."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from queue_app.failures import BadSource, ExpiredUrl, Failure, Forbidden, TooLarge
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.streams import IV, clip, cut, encrypted, fmp4
from tests.unit.downloads import Get, Getter
from tests.unit.streams import LIMITS

Damage = Callable[[bytes], bytes]


@pytest.fixture(scope="session")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ts/index.m3u8 and fmp4/index.m3u8, four segments of a second each."""
    folder = tmp_path_factory.mktemp("cuts")
    cut(clip(folder), folder / "ts")
    cut(clip(folder), folder / "fmp4", *fmp4())
    return folder


@pytest.fixture
def get(origin: Origin, cuts: Path, tmp_path: Path) -> Get:
    """Download one of the streams, whose files may be changed before."""
    for path in cuts.glob("*/*"):
        origin.put(f"/{path.relative_to(cuts)}", path.read_bytes())
    folder = tmp_path / "download"
    folder.mkdir()
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/ts/index.m3u8", **options: getter(path, **options)


def spoil(origin: Origin, path: str, damage: Damage) -> None:
    origin.put(path, damage((origin.folder / path.lstrip("/")).read_bytes()))


@pytest.mark.parametrize("kind", ["ts", "fmp4"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-100], "Segment 3 of 4 is damaged"),
        (lambda content: content[: len(content) // 2 + 1], "Segment 3 of 4 is damaged"),
        (lambda content: b"<html><title>Not found</title></html>", "Segment 3 of 4: .* web page"),
        (lambda content: b'{"error": "expired"}', "Segment 3 of 4: .* web page or other text"),
        (lambda content: b"", "Segment 3 of 4: .* empty"),
        (lambda content: bytes(len(content)), "Segment 3 of 4: it is of an unknown format"),
        (lambda content: content[:188] + bytes(len(content) - 188), "Segment 3 of 4"),
    ],
    ids=["tail cut", "half", "HTML", "JSON", "empty", "zeros", "zeroed"],
)
def test_segment_that_is_damaged_at_the_origin_is_named(
    damage: Damage, reason: str, kind: str, origin: Origin, get: Get
) -> None:
    spoil(origin, {"ts": "/ts/index2.ts", "fmp4": "/fmp4/index-2.m4s"}[kind], damage)
    with pytest.raises(BadSource, match=reason):
        get(f"/{kind}/index.m3u8")


@pytest.mark.parametrize("code", [404, 410])
def test_segment_that_is_gone_is_missing(code: int, origin: Origin, get: Get) -> None:
    origin.misbehave("/ts/index2.ts", servers.Status(code=code))
    with pytest.raises(BadSource, match="Segment 3 of 4 is missing"):
        get()


def test_gap_is_named(origin: Origin, get: Get) -> None:
    spoil(origin, "/ts/index.m3u8", lambda text: text.replace(b"index2.ts", b"#EXT-X-GAP\nindex2.ts"))
    with pytest.raises(BadSource, match=r"segment 3 is missing \(EXT-X-GAP"):
        get()


def test_beginning_that_is_missing_is_named(origin: Origin, get: Get) -> None:
    (origin.folder / "fmp4/index-init.mp4").unlink()
    with pytest.raises(BadSource, match="missing at the source"):
        get("/fmp4/index.m3u8")


def test_protected_beginning_is_drm(origin: Origin, get: Get) -> None:
    spoil(origin, "/fmp4/index-init.mp4", lambda content: content.replace(b"avc1", b"encv"))
    with pytest.raises(BadSource, match=r"DRM \(Common Encryption"):
        get("/fmp4/index.m3u8")


def test_first_segments_that_are_refused_are_forbidden(origin: Origin, get: Get) -> None:
    for number in range(4):
        origin.misbehave(f"/ts/index{number}.ts", servers.Status(code=403))
    with pytest.raises(Forbidden, match="Segment 1 of 4"):
        get()


def test_newly_signed_urls_are_fetched_from_the_playlist(origin: Origin, get: Get) -> None:
    spoil(origin, "/ts/index.m3u8", lambda text: text.replace(b".ts", b".ts?sig=old"))
    text = (origin.folder / "ts/index.m3u8").read_bytes()
    origin.misbehave("/ts/index2.ts", servers.Status(code=403, times=1))
    origin.misbehave("/ts/index.m3u8", servers.Body(content=text, content_type="application/x-mpegurl", times=1))
    spoil(origin, "/ts/index.m3u8", lambda text: text.replace(b"sig=old", b"sig=new"))
    assert get().expected_duration == 4
    assert (origin.count("/ts/index.m3u8"), origin.count("/ts/index2.ts")) == (2, 2)


def test_url_whose_time_is_over_is_asked_for_at_its_page(origin: Origin, get: Get) -> None:
    limits = dataclasses.replace(LIMITS, hls_connections=1)
    for number in (2, 3):
        origin.misbehave(f"/ts/index{number}.ts", servers.Status(code=403))
    with pytest.raises(ExpiredUrl, match="Segment 3 of 4"):
        get(limits=limits)


@pytest.mark.parametrize(
    ("key", "failure", "reason"),
    [
        (b"x" * 16, BadSource, "key is wrong"),
        (b"x" * 15, BadSource, "not 16 bytes"),
        (b"<html>login</html>", BadSource, "not 16 bytes"),
        (None, BadSource, "is missing at the source"),
    ],
)
def test_wrong_key_is_named(key: bytes | None, failure: type[Failure], reason: str, origin: Origin, get: Get) -> None:
    for number in range(4):
        spoil(origin, f"/ts/index{number}.ts", encrypted)
    if key is not None:
        origin.put("/ts/key", key)
    tag = f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV={IV}\n#EXTINF'.encode()
    spoil(origin, "/ts/index.m3u8", lambda text: text.replace(b"#EXTINF", tag, 1))
    with pytest.raises(failure, match=reason):
        get()


def test_keys_come_and_go_within_a_stream(origin: Origin, cuts: Path, get: Get) -> None:
    spoil(origin, "/ts/index1.ts", encrypted)
    inline = f'#EXT-X-KEY:METHOD=AES-128,URI="data:;base64,AAECAwQFBgcICQoLDA0ODw==",IV={IV}\n#EXTINF:1,\nindex1.ts\n'
    lines = f"#EXTM3U\n#EXTINF:1,\nindex0.ts\n{inline}#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nindex2.ts\n#EXT-X-ENDLIST\n"
    origin.put("/ts/index.m3u8", lines.encode())
    assert get().path.read_bytes() == b"".join((cuts / f"ts/index{n}.ts").read_bytes() for n in range(3))


RANGED = (
    "#EXTM3U\n#EXT-X-BYTERANGE:{0}@188\n#EXTINF:1,\nall.ts\n#EXT-X-BYTERANGE:{0}\n#EXTINF:1,\nall.ts\n#EXT-X-ENDLIST\n"
)


@pytest.mark.parametrize("ranges", [True, False])
def test_byte_ranges_are_had_from_any_server(ranges: bool, origin: Origin, get: Get) -> None:
    content = b"".join(b"G" + bytes([n]) + bytes(186) for n in range(200))
    origin.put("/all.ts", content)
    origin.put("/v.m3u8", RANGED.format(188 * 50).encode())
    if not ranges:
        origin.misbehave("/all.ts", servers.NoRange())
    assert get("/v.m3u8").path.read_bytes() == content[188 : 188 + 2 * 188 * 50]


def test_other_bytes_than_the_range_are_refused(origin: Origin, get: Get) -> None:
    origin.put("/all.ts", b"G" * 188 * 200)
    origin.put("/v.m3u8", RANGED.format(188 * 50).encode())
    origin.misbehave("/all.ts", servers.WrongRange(shift=188))
    with pytest.raises(BadSource, match="other bytes than the range"):
        get("/v.m3u8")


def test_master_that_leads_to_itself_is_refused(origin: Origin, get: Get) -> None:
    origin.put("/a.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8\n")
    origin.put("/b.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n")
    with pytest.raises(BadSource, match="another master"):
        get("/a.m3u8")
    assert len(origin.requests) == 2


def test_playlist_as_its_own_segment_is_refused(origin: Origin, get: Get) -> None:
    origin.put("/v.m3u8", b"#EXTM3U\n#EXTINF:1,\nv.m3u8\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadSource, match="other text"):
        get("/v.m3u8")


def test_segment_without_an_end_is_too_large(origin: Origin, get: Get) -> None:
    origin.misbehave("/ts/index1.ts", servers.Body(content=b"G" + bytes(9_000_000), length=None))
    with pytest.raises(TooLarge):
        get(limits=dataclasses.replace(LIMITS, max_bytes=5_000_000))


def test_failing_sound_fails_the_stream(origin: Origin, get: Get) -> None:
    media = b'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n",URI="a.m3u8"\n'
    origin.put("/m.m3u8", b"#EXTM3U\n" + media + b'#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nts/index.m3u8\n')
    origin.put("/a.m3u8", b"#EXTM3U\n#EXTINF:4,\nnone.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadSource, match="Audio segment 1 of 1 is missing"):
        get("/m.m3u8")


@pytest.mark.parametrize("code", [429, 503])
def test_busy_server_is_waited_for_as_long_as_it_asks(code: int, origin: Origin, get: Get) -> None:
    origin.misbehave("/ts/index2.ts", servers.Status(code=code, headers={"Retry-After": "1"}, times=2))
    began = time.monotonic()
    assert get().expected_duration == 4
    assert time.monotonic() - began >= 2


def test_patience_with_a_busy_server_is_long(origin: Origin, get: Get) -> None:
    for number in range(4):
        origin.misbehave(f"/ts/index{number}.ts", servers.Status(code=503, times=8))
    assert get().expected_duration == 4
