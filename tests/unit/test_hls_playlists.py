"""Playlists as RFC 8216 has them, in every spelling, and what hostile ones get."""

from __future__ import annotations

import random

import pytest

from queue_app.downloaders import Limits
from queue_app.downloaders.playlist import Line, Playlist
from queue_app.downloaders.segments import MediaPlaylist, Segment, read_media
from queue_app.downloaders.variants import Selection, select
from queue_app.failures import BadSource

BASE = "http://a.example/x/v.m3u8?token=a%20b"
LIMITS = Limits(max_bytes=1)
END = "#EXTM3U\n{}\n#EXT-X-ENDLIST\n"


def read(text: str, imported: dict[str, str] | None = None) -> MediaPlaylist:
    return read_media(Playlist.read(END.format(text).encode(), BASE, imported), LIMITS)


def master(text: str) -> Selection:
    return select(Playlist.read(f"#EXTM3U\n{text}\n".encode(), BASE), None)


def segments(text: str) -> tuple[Segment, ...]:
    return read(text).segments


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n \n"])
def test_every_line_end_is_understood(end: str) -> None:
    assert len(segments(end.join(["#EXTINF:1,", "a.ts", "#EXTINF:2.5,title, with comma", "b.ts"]))) == 2


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('A="x,y",B=2', {"A": "x,y", "B": "2"}),
        ('A="x=y" , B = 2', {"A": "x=y", "B": "2"}),
        ("garbage,B=2", {"B": "2"}),
        ('B=1,B=2,C="', {"B": "1", "C": ""}),
        ("", {}),
        (",,=,", {}),
    ],
)
def test_attribute_lists_are_read_with_their_quotes(value: str, found: dict[str, str]) -> None:
    assert Playlist.read(b"#EXTM3U\n", BASE).attributes(Line("EXT-X-KEY", value)) == found


@pytest.mark.parametrize("unit", ["A", "A-", 'A="', "A=,", ",", "=", " "])
def test_long_nonsense_is_read_in_time(unit: str) -> None:
    value = unit * (60_000 // len(unit))
    Playlist.read(b"#EXTM3U\n", BASE).attributes(Line("EXT-X-KEY", value))


def test_variables_are_replaced_once() -> None:
    defined = '#EXT-X-DEFINE:NAME="a",VALUE="1"\n#EXT-X-DEFINE:QUERYPARAM="token"\n#EXT-X-DEFINE:IMPORT="c"\n'
    found = read(f"{defined}#EXTINF:1,\n{{$c}}/{{$token}}{{$a}}.ts", {"c": "folder{$a}"})
    assert found.segments[0].resource.url == "http://a.example/x/folder%7B$a%7D/a%20b1.ts"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTINF:1,\n{$none}.ts",
        '#EXT-X-DEFINE:IMPORT="none"',
        '#EXT-X-DEFINE:QUERYPARAM="none"',
        "#EXT-X-DEFINE:VALUE=1",
        '#EXT-X-DEFINE:NAME="a",VALUE="' + "x" * 60_000 + '"\n#EXTINF:1,\n{$a}{$a}',
    ],
)
def test_unknown_variables_are_refused(text: str) -> None:
    with pytest.raises(BadSource):
        read(text + "\n#EXTINF:1,\na.ts")


def test_byte_ranges_follow_each_other() -> None:
    found = segments(
        "#EXT-X-BYTERANGE:10@5\n#EXTINF:1,\na.ts\n#EXT-X-BYTERANGE:20\n#EXTINF:1,\na.ts\n"
        "#EXTINF:1,\n#EXT-X-BYTERANGE:7@0\nb.ts"
    )
    assert [(s.resource.start, s.resource.length) for s in found] == [(5, 10), (15, 20), (0, 7)]


@pytest.mark.parametrize("value", ["10", "0@5", "-1@5", "x@5", "10@", "9" * 30])
def test_impossible_byte_ranges_are_refused(value: str) -> None:
    with pytest.raises(BadSource, match="malformed"):
        read(f"#EXT-X-BYTERANGE:{value}\n#EXTINF:1,\na.ts")


def test_keys_hold_until_the_next() -> None:
    found = segments(
        '#EXT-X-MEDIA-SEQUENCE:300\n#EXTINF:1,\na\n#EXT-X-KEY:METHOD=AES-128,URI="k,1",IV=0XFF\n#EXTINF:1,\nb\n'
        '#EXT-X-KEY:METHOD=AES-128,URI="k2",KEYFORMAT="identity"\n#EXTINF:1,\nc\n'
        "#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nd"
    )
    keys = [segment.resource.key for segment in found]
    assert [key and key.url for key in keys] == [None, "http://a.example/x/k,1", "http://a.example/x/k2", None]
    assert [key.iv_for(s.sequence)[-2:] for key, s in zip(keys, found, strict=True) if key] == [b"\0\xff", b"\x01\x2e"]


@pytest.mark.parametrize(
    "text",
    [
        "#EXT-X-KEY:METHOD=AES-128",
        '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x' + "f" * 33,
        '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=12',
        '#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/passwd"',
        "#EXT-X-MAP:BYTERANGE=1@0",
        '#EXT-X-MAP:URI="m",BYTERANGE="x"',
        "#EXT-X-MEDIA-SEQUENCE:-1",
        "#EXT-X-TARGETDURATION:inf",
        "#EXTINF:1,\nftp://a.example/x.ts",
        "#EXTINF:1,\nhttp://[::1/x.ts",
        "a.ts",
    ],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadSource):
        read(text + "\n#EXTINF:1,\na.ts")


@pytest.mark.parametrize(
    ("attributes", "system"),
    [
        ("METHOD=SAMPLE-AES", "SAMPLE-AES"),
        ("METHOD=SAMPLE-AES-CTR", "SAMPLE-AES-CTR"),
        ('METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"', "FairPlay"),
        ('METHOD=AES-128,URI="skd://x"', "FairPlay"),
        (
            'METHOD=SAMPLE-AES-CTR,URI="data:;base64,AAAA",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"',
            "Widevine",
        ),
        ('METHOD=SAMPLE-AES,KEYFORMAT="com.microsoft.playready"', "PlayReady"),
        ('METHOD=AES-128,URI="k",KEYFORMAT="com.example"', "AES-128"),
        ('METHOD=ISO-23001-7,URI="k"', "ISO-23001-7"),
    ],
)
def test_drm_is_refused_by_its_name(attributes: str, system: str) -> None:
    with pytest.raises(BadSource, match=f"DRM, which Reelkeep does not touch.*{system}"):
        read(f"#EXT-X-KEY:{attributes}\n#EXTINF:1,\na.ts")
    with pytest.raises(BadSource, match=f"DRM.*{system}"):
        master(f"#EXT-X-SESSION-KEY:{attributes}\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8")


def test_variant_comes_with_its_sound_and_subtitles() -> None:
    found = master(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="2",LANGUAGE="fr",URI="2.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="3",AUTOSELECT=YES,URI="3.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="1",DEFAULT=YES,URI="1.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="no",URI="no.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="en",LANGUAGE="en",URI="s.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a",SUBTITLES="s"\nv.m3u8'
    )
    assert [audio.name for audio in found.audio] == ["1", "3", "2"]
    assert [subtitles.url for subtitles in found.subtitles] == ["http://a.example/x/s.m3u8"]


def test_sound_inside_the_variant_gives_its_language() -> None:
    media = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="E",LANGUAGE="en"\n'
    found = master(f'{media}#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8')
    assert (found.main.language, found.audio) == ("en", ())


def test_separate_pictures_take_the_variant_s_place() -> None:
    media = '#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="v",NAME="c",DEFAULT=YES,URI="camera.m3u8"\n'
    found = master(f'{media}#EXT-X-STREAM-INF:BANDWIDTH=1,VIDEO="v"\nv.m3u8')
    assert found.main.url == "http://a.example/x/camera.m3u8"


def test_mutilated_playlists_are_refused_or_read_but_never_crash() -> None:
    text = END.format(
        '#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:4\n#EXT-X-DEFINE:NAME="a",VALUE="b"\n#EXT-X-MAP:URI="i",BYTERANGE="9@0"\n'
        '#EXT-X-KEY:METHOD=AES-128,URI="{$a}",IV=0x12\n#EXTINF:3.9,t\n#EXT-X-BYTERANGE:5@9\ns\n#EXT-X-DISCONTINUITY\n'
        '#EXTINF:1,\ns2\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="u"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv'
    ).encode()
    chance = random.Random(5)
    for _ in range(3000):
        content = bytearray(text)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(content))
            content[at : at + chance.randrange(4)] = chance.choice(
                [b"", b"\n", b'"', b",", b"#", b"\xff", b"{$", b"9" * 40]
            )
        try:
            found = Playlist.read(bytes(content), BASE)
            select(found, "720p") if found.is_master else read_media(found, LIMITS)
        except BadSource:
            continue
