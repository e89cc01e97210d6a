"""In real Node the Worker's modules give the bytes that Python gives, for the vectors and for what chance brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from storage_app.playback.playlists import PlaylistTooLarge, ends, is_playlist, resolve, rewrite
from storage_app.playback.signing import Key, Signer, directory, percent_encoded
from tests.edge.modules import packed, run, unpacked, values
from tests.vectors.hostile import HOSTILE, TOO_LARGE

FOLDER = Path(__file__).parent.parent / "vectors"
SIGNING = json.loads((FOLDER / "signing.json").read_text(encoding="utf-8"))
PLAYLISTS = json.loads((FOLDER / "playlists.json").read_text(encoding="utf-8"))
BY = [SIGNING["key"], SIGNING["expires"]]
BASE = "https://cdn.example.com/vod/abc/index.m3u8?tok=a%2Fb&x=%FF"

Rewriting = tuple[bytes, str, str]


def signer() -> Signer:
    return Signer(Key(BY[0]), BY[1])


def ours(text: bytes, base: str, variables: str) -> bytes | str:
    """What Python makes of a playlist, or the name of what it raises."""
    try:
        return rewrite(text, base, signer(), variables)
    except PlaylistTooLarge as error:
        return f"PlaylistTooLarge {error}"


def theirs(playlists: list[Rewriting]) -> list[bytes | str]:
    """What the Worker's module makes of them, in one process."""
    results = run([["rewrite", BY, packed(text), base, variables] for text, base, variables in playlists])
    return [
        unpacked(result["value"]) if "value" in result else f"{result['error'][0]} {result['error'][-1]}"
        for result in results
    ]


def test_links_are_those_of_the_vectors() -> None:
    calls = [
        [case["call"], BY, case["url"], *([case["variables"]] if "variables" in case else [])]
        for case in SIGNING["links"]
    ]
    assert values(calls) == [case["query"] for case in SIGNING["links"]]


def test_queries_are_granted_or_refused_as_the_vectors_say() -> None:
    ring = [SIGNING["key"], SIGNING["older"]]
    results = run([["verify", ring, case["query"], SIGNING["now"]] for case in SIGNING["verify"]])
    assert [answer(result) for result in results] == [
        case.get("grant") or case["refused"] for case in SIGNING["verify"]
    ]


def answer(result: dict[str, Any]) -> dict[str, Any]:
    """In the vectors' form."""
    if "value" in result:
        value: dict[str, Any] = result["value"]
        return value
    kind, status, error, detail = result["error"]
    assert kind == "Refused"
    return {"status": status, "error": error, "detail": detail}


def test_directories_keys_and_ids_are_those_of_the_vectors() -> None:
    assert values([["directory", url] for url in SIGNING["directories"]]) == list(SIGNING["directories"].values())
    assert values([["kid", secret] for secret in SIGNING["kids"]]) == list(SIGNING["kids"].values())
    assert values([["derived", salt] for salt in SIGNING["derived"]]) == list(SIGNING["derived"].values())


def test_the_limit_counts_characters_not_utf16_units() -> None:
    urls = ["https://h.example/" + "🎬" * 4078, "https://h.example/" + "🎬" * 4079]
    good, long = run([["verify", [BY[0], []], signer().exact(url), SIGNING["now"]] for url in urls])
    assert good["value"]["url"] == urls[0]
    assert long["error"][:3] == ["Refused", 400, "bad_request"]


def test_an_empty_key_is_refused() -> None:
    results = run([["verify", keys, "url=x", 0] for keys in (["", []], ["new", [""]])])
    assert [result["error"][-1] for result in results] == ["A signing key must not be empty."] * 2


def test_playlists_become_what_the_vectors_say() -> None:
    cases = PLAYLISTS["cases"]
    encodings = [case.get("encoding", "utf-8") for case in cases]
    inputs = [case["input"].encode(encoding) for case, encoding in zip(cases, encodings, strict=True)]
    outputs = theirs(
        [(text, case["base"], case.get("variables", "")) for case, text in zip(cases, inputs, strict=True)]
    )
    assert outputs == [case["output"].encode(encoding) for case, encoding in zip(cases, encodings, strict=True)]


def test_hostile_playlists_give_the_same_bytes() -> None:
    texts = {name: make(40_000).encode() for name, make in HOSTILE.items()}
    outputs = theirs([(text, BASE, "") for text in texts.values()])
    assert {name for name, output in zip(texts, outputs, strict=True) if output != ours(texts[name], BASE, "")} == set()


def test_hostile_playlists_take_no_more_than_linear_time() -> None:
    """Eight times the size would take 64 times as long if it were quadratic; the rest is for busy machines."""
    texts = [make(size).encode() for make in HOSTILE.values() for size in (75_000, 600_000)]
    costs = values([["cost", BY, packed(text), BASE] for text in texts])
    slow = {
        name: pair
        for name, *pair in zip(HOSTILE, costs[::2], costs[1::2], strict=True)
        if pair[1] > 24 * max(pair[0], 0.02)
    }
    assert slow == {}


def test_what_would_become_too_large_is_refused_alike() -> None:
    playlists = [(text.encode(), base, "") for text, base in TOO_LARGE.values()]
    assert theirs(playlists) == [ours(*playlist) for playlist in playlists]


# Pieces that make a parser stumble when they are put together at random.
PIECES = [
    "\n", "\n", "\n", "\r\n", "\r", " ", "\t", "\ufeff", "\x00", "\x0b", "\x85", "\u2028", "é", "第", "🎬", "#",
    "#EXTM3U\n", "#EXTINF:4,", "#EXT-X-", "#EXT-X-KEY:", "#EXT-X-MAP:", "#EXT-X-MEDIA:", "#EXT-X-STREAM-INF:",
    "#EXT-X-DATERANGE:", "#EXT-X-RENDITION-REPORT:", "#EXT-X-PREFETCH:", "#EXT-X-DEFINE:", "#EXT-X-DEFINE:",
    'NAME="a",VALUE="', 'NAME="b",', 'QUERYPARAM="tok"', 'QUERYPARAM="x"', 'IMPORT="i"', "VALUE=", "{$a}",
    "{$tok}", "{$x}", "{$i}", "{$", "}", "URI", "URI=", 'URI="', "SERVER-URI=", 'X-ASSET-LIST="',
    "METHOD=AES-128", "A=", '"', '"', ",", ",", "=", "s.ts", "a/", "b", "..", ".", "/", "//", "\\", "?",
    "?a=b&c", "#t", "%", "%2e", "%2E%2e/", "%2f", "%25", "%ff", "%E4%BE%8B", "%E4", ":", ";", "@", "[", "]", "http:",
    "https:", "https://", "HTTP://h.example", "h.example", ":80", "skd://", "data:", "+", "~", "!'()*", "<>^`{|}",
    "\x7f",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
BINARIES = st.one_of(
    TEXTS.map(str.encode),
    TEXTS.map(lambda text: text.encode("utf-16-le")),
    st.lists(st.one_of(st.sampled_from(PIECES).map(str.encode), st.binary(max_size=2)), max_size=30).map(b"".join),
)
BASES = st.one_of(
    st.sampled_from([BASE, "https://h.example", "http://u@h.example:8/a/../b?q#f", "HTTPS://h.example/第/"]), TEXTS
)
VARIABLES = st.sampled_from(["", "", "i=1", "i=a%2Fb&a=%E7%AC%AC", "i=%FF&&=&i", "第=é&i=é"])
URLS = st.one_of(TEXTS, TEXTS.map("https://h.example/a/".__add__), st.text())
BATCHES = st.fixed_dictionaries(
    {
        "playlists": st.lists(st.tuples(BINARIES, BASES, VARIABLES), min_size=60, max_size=60),
        "urls": st.lists(URLS, min_size=60, max_size=60),
    }
)


@settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(BATCHES)
def test_whatever_comes_both_give_the_same(batch: dict[str, Any]) -> None:
    playlists: list[Rewriting] = batch["playlists"]
    outputs = zip(playlists, theirs(playlists), strict=True)
    assert [(playlist, output) for playlist, output in outputs if output != ours(*playlist)] == []
    pairs = [pair for url in batch["urls"] for pair in of_url(url)]
    pairs += [pair for text, base, _ in playlists for pair in of_body(text, base)]
    results = zip(pairs, values([call for call, _ in pairs]), strict=True)
    assert [(call, result, expected) for (call, expected), result in results if result != expected] == []


def of_url(url: str) -> list[tuple[list[Any], Any]]:
    """Calls, and what Python says."""
    return [
        (["directory", url], directory(url)),
        (["child", BY, url], signer().child(url)),
        (["exact", BY, url, "a=1"], signer().exact(url, "a=1")),
        (["percentEncoded", url], percent_encoded(url)),
        (["resolve", BASE, url], resolve(BASE, url)),
    ]


def of_body(text: bytes, base: str) -> list[tuple[list[Any], Any]]:
    """Calls, and what Python says."""
    return [
        (["ends", packed(text)], ends(text)),
        (["isPlaylist", "text/plain", base, packed(text)], is_playlist("text/plain", base, text)),
    ]
