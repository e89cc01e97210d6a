"""`/stream/…` at the edge: what the archive says of a video, from whatever copies there are."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.edge.lookups import KEY, SECRET, TOKEN, Lookups
from tests.servers.misbehaviour import Body, Cut, Headers, NoRange, Redirect, Stall, Status, WrongRange
from tests.servers.origin import Origin
from tests.servers.workerd import Edge

CONTENT = random.Random(1).randbytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Stage:
    """The Worker between an archive and the accounts."""

    edge: Edge
    lookups: Lookups
    origin: Origin

    def get(self, method: str = "GET", key: str = KEY, **headers: str) -> requests.Response:
        """What a player gets."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(method, self.edge.url(f"/stream/{key}"), headers=sent, timeout=60)


@pytest.fixture
def lookups(origin: Origin) -> Iterator[Lookups]:
    with Lookups(origin) as running:
        yield running


@pytest.fixture
def stage(start_edge: Callable[..., Edge], lookups: Lookups, origin: Origin) -> Stage:
    edge = start_edge([origin.host_port], STORE_URL=lookups.url("/"), EDGE_TOKEN=TOKEN)
    return Stage(edge, lookups, origin)


# --- What the archive has ---


def test_an_archived_video_is_served_whole_with_the_headers_of_the_site(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    answer = stage.get()
    assert (answer.status_code, answer.content) == (200, CONTENT)
    told = {
        "Content-Length": str(len(CONTENT)),
        "Content-Type": "video/mp4",
        "Accept-Ranges": "bytes",
        "ETag": f'"{DIGEST}"',
        "Last-Modified": "Thu, 09 Oct 2025 08:53:20 GMT",
        "Cache-Control": "public, max-age=300",
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
    }
    assert {name: answer.headers.get(name) for name in told} == told


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=1000-", 1000, 2_999_999), ("bytes=-7", 2_999_993, 2_999_999),
     ("bytes=5-999999999", 5, 2_999_999)],
)  # fmt: skip
def test_one_range_is_206(stage: Stage, asked: str, first: int, last: int) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    answer = stage.get(Range=asked)
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, f"bytes {first}-{last}/3000000")
    assert answer.content == CONTENT[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-1", "rubbish", "items=0-1"])
def test_several_ranges_and_malformed_ones_are_the_whole_file(stage: Stage, asked: str) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    answer = stage.get(Range=asked)
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize("asked", ["bytes=3000000-", "bytes=-0"])
def test_a_range_outside_the_file_is_416_without_asking_any_copy(stage: Stage, asked: str) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    answer = stage.get(Range=asked)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */3000000")
    assert answer.json()["error"] == "range"
    assert stage.origin.count("/a.mp4") == 0


@pytest.mark.parametrize(
    "headers",
    [{"If_None_Match": f'"{DIGEST}"'}, {"If_None_Match": "*"}, {"If_None_Match": f'W/"{DIGEST}", "x"'},
     {"If_Modified_Since": "Thu, 09 Oct 2025 08:53:20 GMT"}],
)  # fmt: skip
def test_who_has_it_already_gets_304(stage: Stage, headers: dict[str, str]) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    answer = stage.get(**headers)
    assert (answer.status_code, answer.headers["ETag"], answer.content) == (304, f'"{DIGEST}"', b"")
    assert stage.origin.count("/a.mp4") == 0


@pytest.mark.parametrize(("if_range", "status"), [(f'"{DIGEST}"', 206), ('"other"', 200)])
def test_if_range_continues_only_the_same_content(stage: Stage, if_range: str, status: int) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    assert stage.get(Range="bytes=0-1", If_Range=if_range).status_code == status


def test_head_asks_no_copy(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    answer = stage.get("HEAD", Range="bytes=0-1")
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "3000000", b"")
    assert stage.origin.count("/a.mp4") == 0


def test_what_is_no_video_is_bytes(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", content_type="text/html")
    assert stage.get("HEAD").headers["Content-Type"] == "application/octet-stream"


# --- Failover ---


def test_a_copy_that_breaks_off_is_gone_on_with_at_the_very_byte(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4", "c.mp4")
    stage.origin.misbehave("/a.mp4", Cut(after=1_000_003))
    stage.origin.misbehave("/b.mp4", Cut(after=777_777))
    assert stage.get().content == CONTENT
    assert [seen.path for seen in stage.origin.requests] == ["/a.mp4", "/b.mp4", "/c.mp4"]
    assert sum(map(stage.origin.served, ("/a.mp4", "/b.mp4", "/c.mp4"))) < len(CONTENT) + 500_000


def test_in_the_middle_of_a_range_too(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4")
    stage.origin.misbehave("/a.mp4", Cut(after=1000))
    answer = stage.get(Range="bytes=500000-1500000")
    assert (answer.status_code, answer.content) == (206, CONTENT[500_000:1_500_001])


def test_the_only_copy_is_gone_on_with_when_it_breaks_off(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    stage.origin.misbehave("/a.mp4", Cut(after=1_000_000, times=1))
    assert stage.get().content == CONTENT


def test_a_copy_that_falls_silent_holds_nobody_up(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4")
    stage.origin.misbehave("/a.mp4", Stall(after=1_000_000))
    began = time.monotonic()
    assert stage.get().content == CONTENT
    assert time.monotonic() - began < 30
    assert [seen.path for seen in stage.origin.requests] == ["/a.mp4", "/b.mp4"]


def test_one_that_does_not_even_answer_neither(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4")
    stage.origin.misbehave("/a.mp4", Stall(after=0))
    assert stage.get().content == CONTENT


@pytest.mark.parametrize(
    "wrong",
    [
        Status(code=403),
        Status(code=500),
        Redirect(to="/elsewhere"),
        WrongRange(shift=7),
        NoRange(),
        Body(content=b"an error page"),
        Headers(headers={"Content-Encoding": "gzip"}),
        Headers(headers={"ETag": f'"{"0" * 64}"'}),
    ],
    ids=repr,
)
def test_a_copy_that_is_not_what_it_should_be_is_left_out(stage: Stage, wrong: Any) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4")
    stage.origin.misbehave("/a.mp4", wrong)
    answer = stage.get(Range="bytes=1000-1999")
    assert (answer.status_code, answer.content) == (206, CONTENT[1000:2000])


def test_a_copy_that_has_failed_is_asked_last_for_a_while(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4")
    stage.origin.misbehave("/a.mp4", Status(code=500, times=1))
    for _ in range(3):
        assert stage.get(Range="bytes=0-9").content == CONTENT[:10]
    assert (stage.origin.count("/a.mp4"), stage.origin.count("/b.mp4")) == (1, 3)


def test_when_no_copy_is_left_the_archive_is_asked_once_more_then_it_is_503(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4")
    for name in ("/a.mp4", "/b.mp4"):
        stage.origin.misbehave(name, Status(code=403))
    answer = stage.get()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert answer.json()["error"] == "no_copy"
    assert len(stage.lookups.seen) == 2


def test_links_that_have_expired_are_got_anew_from_the_archive(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    assert stage.get(Range="bytes=0-0").status_code == 206
    stage.lookups.archived(CONTENT, "new.mp4")
    stage.origin.misbehave("/a.mp4", Status(code=403))
    assert stage.get().content == CONTENT


def test_without_any_copy_left_in_the_middle_the_answer_does_not_look_whole(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    stage.origin.misbehave("/a.mp4", Cut(after=1_000_000))
    stage.origin.misbehave("/a.mp4", Cut(after=1_000_000, times=1), Status(code=500, skip=1))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        stage.get()


def test_failover_may_be_left_to_players(start_edge: Callable[..., Edge], lookups: Lookups, origin: Origin) -> None:
    edge = start_edge([origin.host_port], STORE_URL=lookups.url("/"), EDGE_TOKEN=TOKEN, FAILOVER="start")
    lookups.archived(CONTENT, "a.mp4", "b.mp4")
    origin.misbehave("/a.mp4", Status(code=500, times=1))
    assert Stage(edge, lookups, origin).get().content == CONTENT
    origin.misbehave("/b.mp4", Cut(after=1_000_000))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        Stage(edge, lookups, origin).get()


# --- What the archive is asked, and what nobody is told ---


def test_the_archive_is_asked_with_the_token_and_its_answer_is_kept(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    for _ in range(3):
        stage.get("HEAD")
    assert [seen.headers["authorization"] for seen in stage.lookups.seen] == [f"Bearer {TOKEN}"]


def test_it_is_not_kept_beyond_its_end(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", seconds=1)
    stage.get("HEAD")
    stage.get("HEAD")
    assert len(stage.lookups.seen) == 2


def test_neither_token_nor_signed_urls_are_shown(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4", "b.mp4")
    stage.origin.misbehave("/a.mp4", Status(code=403))
    stage.origin.misbehave("/b.mp4", Cut(after=10))
    answers = [stage.get("HEAD"), stage.get(Range="bytes=0-3"), stage.get("HEAD", key="1/1/x")]
    told = "".join(str(answer.headers) + answer.text for answer in answers) + stage.edge.said()
    assert TOKEN not in told
    assert SECRET not in told


def test_the_token_goes_to_nobody_but_the_archive(stage: Stage) -> None:
    stage.lookups.archived(CONTENT, "a.mp4")
    stage.get(Cookie="a=b", Authorization="Bearer of-the-viewer")
    [seen] = stage.origin.requests
    sent = {name.lower() for name in seen.headers}
    assert sent.isdisjoint({"authorization", "cookie"})


def test_the_key_s_segments_reach_the_archive_as_they_are(stage: Stage) -> None:
    for key in ("1/2/Grün%20x", "1/2/a%3Fb%23c/720p", "1/2/%25"):
        stage.get(key=key)
    paths = [seen.target for seen in stage.lookups.seen]
    assert paths == [f"/api/v1/store/{key}" for key in ("1/2/Gr%C3%BCn%20x", "1/2/a%3Fb%23c/720p", "1/2/%25")]


@pytest.mark.parametrize("key", ["1/2", "1/2/a/b/c", "1/2/..%2F..%2Fadmin", "1/2/a%5Cb", "1/2/%00", "1/2/%FF", "//a"])
def test_what_can_be_no_key_does_not_reach_the_archive(stage: Stage, key: str) -> None:
    answer = stage.get(key=key)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_archived")
    assert stage.lookups.seen == []


@pytest.mark.parametrize("status", [404, 410, 503])
def test_why_there_is_nothing_is_said_in_the_archive_s_words(stage: Stage, status: int) -> None:
    told = {"error": "a_word", "detail": "A sentence.", "queued": False}
    stage.lookups.says(status, told, Retry_After="30", Set_Cookie="a=b")
    answer = stage.get()
    assert (answer.status_code, answer.json()) == (status, told)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert (answer.headers["Retry-After"], "Set-Cookie" in answer.headers) == ("30", False)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 500])
def test_an_archive_that_does_not_answer_as_it_should_is_503(stage: Stage, status: int) -> None:
    page = {"status": status, "headers": {"Content-Type": "text/html", "Location": "/x"}, "body": f"<p>{TOKEN}"}
    stage.lookups.play({f"/api/v1/store/{KEY}": page})
    answer = stage.get()
    assert (answer.status_code, answer.json()["error"], answer.headers["Retry-After"]) == (503, "unavailable", "5")
    assert TOKEN not in stage.edge.said() + answer.text


def test_an_archive_that_is_down_is_503_too(stage: Stage) -> None:
    stage.lookups.breaks()
    assert stage.get().json()["error"] == "unavailable"


# --- What is not archived yet ---


def test_a_source_is_played_through_and_nobody_keeps_it(stage: Stage) -> None:
    stage.lookups.source(stage.origin.put("/v.mp4", CONTENT))
    answer = stage.get(Range="bytes=5-9", If_None_Match='"x"')
    assert (answer.status_code, answer.content) == (206, CONTENT[5:10])
    assert (answer.headers["Cache-Control"], "ETag" in answer.headers) == ("no-store", False)
    assert "If-None-Match" not in stage.origin.requests[-1].headers


def test_a_source_s_playlist_leads_to_the_proxy(stage: Stage) -> None:
    text = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nseg.ts\n#EXT-X-ENDLIST\n"
    stage.lookups.source(stage.origin.put("/x/v.m3u8", text))
    stage.origin.put("/x/seg.ts", b"segment")
    answer = stage.get()
    assert answer.headers["Cache-Control"] == "no-store"
    [link] = [line for line in answer.text.splitlines() if line.startswith("/proxy?")]
    assert requests.get(stage.edge.url(link), timeout=60).content == b"segment"


def test_a_private_source_is_refused(stage: Stage) -> None:
    stage.lookups.source("http://127.0.0.1:9/v.mp4")
    assert (stage.get().status_code, stage.get().json()["error"]) == (403, "address_refused")


def test_a_worker_that_asks_itself_says_so(stage: Stage) -> None:
    assert stage.get(Reelkeep_Edge="1").status_code == 508
