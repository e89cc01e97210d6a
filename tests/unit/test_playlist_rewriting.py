"""Every link of a playlist goes through `/proxy`, every other byte stays. `tests/edge` asks this of the Worker, too."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import pytest

from storage_app.playback.playlists import (
    MAX_LINES,
    MAX_REWRITTEN,
    PlaylistTooLarge,
    ends,
    is_playlist,
    resolve,
    rewrite,
)
from storage_app.playback.signing import Key, Keyring, Signer
from tests.vectors.__main__ import playlists
from tests.vectors.hostile import HOSTILE, TOO_LARGE

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/playlists.json").read_text(encoding="utf-8"))
BASE = "https://cdn.example.com/vod/abc/index.m3u8"
LINK = re.compile(rb"/proxy\?([A-Za-z0-9_.~=&%-]+)")
RFC_BASE = "http://a/b/c/d;p?q"


def signer() -> Signer:
    return Signer(Key(VECTORS["key"]), VECTORS["expires"])


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def rewritten(case: dict[str, Any]) -> bytes:
    data = case["input"].encode(case.get("encoding", "utf-8"))
    return rewrite(data, case["base"], signer(), case.get("variables", ""))


def links(playlist: bytes) -> list[dict[str, str]]:
    """The queries of all links, in order."""
    queries = [match[1].decode() for match in LINK.finditer(playlist) if match[1].startswith(b"exp=19")]
    return [
        {name: unquote(value) for name, _, value in (part.partition("=") for part in query.split("&"))}
        for query in queries
    ]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=named)
def test_a_playlist_becomes_what_the_vectors_say(case: dict[str, Any]) -> None:
    assert rewritten(case) == case["output"].encode(case.get("encoding", "utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=named)
def test_its_links_lead_upstream_and_are_signed(case: dict[str, Any]) -> None:
    ring = Keyring(VECTORS["key"])
    queries = links(rewritten(case))
    assert [ring.verify(query, 0).url for query in queries] == case["links"]
    assert {ring.verify(query, 0).expires for query in queries} <= {VECTORS["expires"]}


def test_the_vectors_are_what_was_written_by_hand() -> None:
    assert playlists() == VECTORS


def test_text_is_taken_as_well_as_bytes() -> None:
    text = "#EXTM3U\n第.ts\n"
    assert rewrite(text, BASE, signer()) == rewrite(text.encode(), BASE, signer())


def test_all_segments_of_a_directory_have_one_signature() -> None:
    queries = links(rewrite("#EXTM3U\n" + "".join(f"s{n}.ts?t={n}\n" for n in range(50)), BASE, signer()))
    assert len(queries) == 50
    assert len({query["sig"] for query in queries}) == 1


def test_a_report_is_the_very_link_of_the_ladder() -> None:
    """By this players find the playlist that a report is about."""
    define = '#EXT-X-DEFINE:NAME="a",VALUE="1"\n'
    ladder = rewrite(f"#EXTM3U\n{define}#EXT-X-STREAM-INF:BANDWIDTH=1\nv/1.m3u8\n", BASE, signer())
    variant = links(ladder)[0]
    report = '#EXT-X-RENDITION-REPORT:URI="../v/1.m3u8",LAST-MSN=1\n'
    media = rewrite(f"#EXTM3U\n{report}", "https://cdn.example.com/vod/abc/w/2.m3u8", signer(), variant["vars"])
    assert links(media) == [variant]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_playlists_take_no_more_than_linear_time(name: str) -> None:
    """Eight times the size would take 64 times as long if it were quadratic; the rest is for busy machines."""
    make = HOSTILE[name]
    small, large = (seconds(make(size)) for size in (75_000, 600_000))
    assert large < 24 * max(small, 0.01)


def seconds(text: str) -> float:
    started = time.process_time()
    rewrite(text, BASE, signer())
    return time.process_time() - started


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_would_become_too_large_is_refused(name: str) -> None:
    text, base = TOO_LARGE[name]
    with pytest.raises(PlaylistTooLarge):
        rewrite(text, base, signer())


def test_the_limits_leave_room_for_half_a_day_of_short_segments() -> None:
    text = "#EXTM3U\n" + "".join(f"#EXTINF:2.000,\nsegment-{n:06}.ts?token={'x' * 200}\n" for n in range(21_600))
    output = rewrite(text, BASE, signer())
    assert len(output) < MAX_REWRITTEN
    assert output.count(b"/proxy?") == 21_600 < MAX_LINES / 2


@pytest.mark.parametrize(
    ("content_type", "url", "head", "expected"),
    [
        ("application/vnd.apple.mpegurl", "https://h/x", b"", True),
        ("audio/x-mpegURL; charset=utf-8", "https://h/x", b"", True),
        ("video/mp2t", "https://h/x.M3U8?y=1", b"", True),
        ("text/html", "https://h/x.m3u#t", b"", True),
        ("", "https://h/x", b"#EXTM3U\n", True),
        ("text/plain; charset=utf-8", "https://h/x", b"#EXTM3U", True),
        ("Application/Octet-Stream", "https://h/x", b"\xef\xbb\xbf\r\n \t\n#EXTM3U\r\n", True),
        ("binary/octet-stream", "https://h/x", b"#EXTM3U\n", True),
        ("text/html", "https://h/x", b"#EXTM3U\n", False),
        ("video/mp4", "https://h/x.mp4?n=x.m3u8", b"#EXTM3U\n", False),
        ("text/plain", "https://h/x.m3u8/y", b"", False),
        ("", "https://h/x", b"", False),
        ("", "https://h/x", b"\x00#EXTM3U", False),
        ("", "https://h.m3u8", b"", False),
        ("", "https://h.m3u8?x.m3u8", b"", False),
        ("", "https://[h/x.m3u8", b"", True),
    ],
)
def test_a_playlist_is_known_by_type_name_or_first_line(
    content_type: str, url: str, head: bytes, expected: bool
) -> None:
    assert is_playlist(content_type, url, head) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#EXTM3U\n#EXTINF:4,\ns.ts\n#EXT-X-ENDLIST", True),
        ("#EXTM3U\r#EXT-X-ENDLIST\r", True),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n", True),
        ('#EXTM3U\r\n#EXT-X-MEDIA:TYPE=AUDIO,URI="a.m3u8"\r\n', True),
        ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:4\n#EXTINF:4,\ns.ts\n", False),
        ("#EXTM3U\n# no #EXT-X-ENDLIST yet\n#EXTINF:4,\ns.ts\n", False),
        ("", False),
    ],
)
def test_it_is_known_whether_a_playlist_may_change(text: str, expected: bool) -> None:
    assert ends(text) is ends(text.encode()) is expected


@pytest.mark.parametrize(
    "reference",
    [
        "g:h", "g", "./g", "g/", "/g", "//g", "?y", "g?y", "#s", "g#s", "g?y#s", ";x", "g;x", "g;x?y#s", "", ".", "./",
        "..", "../", "../g", "../..", "../../", "../../g", "../../../g", "../../../../g", "/./g", "/../g", "g.", ".g",
        "g..", "..g", "./../g", "./g/.", "g/./h", "g/../h", "g;x=1/./y", "g;x=1/../y", "g?y/./x", "g?y/../x", "g#s/./x",
        "g#s/../x",
    ],
)  # fmt: skip
def test_the_examples_of_rfc_3986(reference: str) -> None:
    """§5.4. The standard library agrees with it on all of these."""
    assert resolve(RFC_BASE, reference) == urljoin(RFC_BASE, reference)


@pytest.mark.parametrize("base", ["", "x", "http:", "//", "https://h", "https://h?x", "https://[::1", "a:b"])
@pytest.mark.parametrize(
    "reference", ["", "x", "/x", "//x", "?x", "..", "http:", "https://h/../..", "\ufeff", ":", "[", "%"]
)
def test_no_base_and_no_reference_makes_it_crash(base: str, reference: str) -> None:
    once = resolve(base, reference)
    assert resolve(once, once) == once or not once.startswith(("http://", "https://"))
