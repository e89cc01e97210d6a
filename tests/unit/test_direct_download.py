"""One file over one connection: whole and hashed, or a failure in plain words."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from archive_site.safe_http import Policy
from queue_app.downloaders import Downloaded, Limits, Progress, Source, download
from queue_app.failures import (
    BadSource,
    Cancelled,
    DiskFull,
    Failure,
    Forbidden,
    Gone,
    TooLarge,
    Transient,
)
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.unit.downloads import Get, Getter

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + bytes(range(256)) * 4000
LIMITS = Limits(max_bytes=100_000_000, retry_wait=0.01)


@pytest.fixture
def get(origin: Origin, tmp_path: Path) -> Get:
    """Download a path of the origin."""
    folder = tmp_path / "download"
    folder.mkdir()
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/x.mp4", **options: getter(path, **options)


def is_the_video(found: Downloaded) -> bool:
    return found.path.read_bytes() == VIDEO and found.sha256 == hashlib.sha256(VIDEO).hexdigest()


@pytest.mark.parametrize(
    ("head", "container", "suffix"),
    [
        (VIDEO[:64], "mp4", ".mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", "mov", ".mov"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "matroska", ".mkv"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm", "webm", ".webm"),
        (b"G".ljust(188, b"\xff") * 9, "mpegts", ".ts"),
    ],
)
def test_container_is_told_by_content(head: bytes, container: str, suffix: str, origin: Origin, get: Get) -> None:
    origin.put("/watch", head + bytes(5000) if container != "mpegts" else head)
    found = get("/watch")
    assert (found.container, found.path.name) == (container, f"source{suffix}")


def test_file_arrives_whole_and_hashed(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    seen = Progress()
    found = get(progress=seen)
    assert is_the_video(found)
    assert (found.size, seen.bytes_done, seen.bytes_total) == (len(VIDEO),) * 3
    assert origin.count("/x.mp4") == 1


def test_file_without_announced_length_arrives(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Body(content=VIDEO, length=None))
    assert is_the_video(get())


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (404, Gone), (410, Gone), (401, Forbidden), (403, Forbidden), (451, Forbidden), (408, Transient),
        (429, Transient), (500, Transient), (503, Transient), (400, BadSource), (418, BadSource),
        (204, BadSource), (206, BadSource), (304, BadSource),
    ],
)  # fmt: skip
def test_status_decides_the_failure(code: int, failure: type[Failure], origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Status(code=code))
    with pytest.raises(failure, match=f"answered {code}"):
        get()


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"<!doctype html><title>Not here</title>", "text/html"),
        (b"\n  <html>", "video/mp4"),
        (b'{"error": "expired"}', "video/mp4"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error/>", "application/octet-stream"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "video/mp4"),
        (b"Too many requests, come back later", "video/mp4"),
        (VIDEO, "text/html; charset=utf-8"),
    ],
)
def test_text_instead_of_a_video_is_refused(content: bytes, content_type: str, origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Body(content=content, content_type=content_type))
    with pytest.raises(BadSource, match="a web page or other text, not a video"):
        get()


def test_empty_file_is_refused(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", b"")
    with pytest.raises(BadSource, match="empty file"):
        get()


def test_unknown_format_is_refused(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", bytes(range(256)) * 9)
    with pytest.raises(BadSource, match="known format"):
        get()


def test_compressed_answer_is_refused(origin: Origin, get: Get) -> None:
    import gzip

    body = gzip.compress(VIDEO)
    origin.misbehave("/x.mp4", servers.Body(content=body, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(BadSource, match="compressed"):
        get()


@pytest.mark.parametrize("size", [700, 300_000])
def test_fewer_bytes_than_promised_fail(size: int, origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Body(content=VIDEO[:size], length=len(VIDEO)))
    with pytest.raises(Transient, match=f"promised {len(VIDEO)} bytes, sent {size}"):
        get()
    assert origin.count("/x.mp4") == 4


@pytest.mark.parametrize("after", [0, 10, 300_000])
def test_cut_connection_is_resumed(after: int, origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", servers.Cut(after=after, times=1))
    assert is_the_video(get())
    assert origin.count("/x.mp4") == 2


def test_three_cuts_are_resumed_where_they_happened(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", servers.Cut(after=200_000, times=3))
    assert is_the_video(get())
    assert [r.headers.get("Range") for r in origin.requests] == [
        None, "bytes=200000-1024023", "bytes=400000-1024023", "bytes=600000-1024023",
    ]  # fmt: skip


def test_silent_source_is_left_and_resumed(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", servers.Stall(after=300_000, times=1))
    assert is_the_video(get())


def test_source_that_is_always_silent_fails(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", servers.Stall(after=0))
    with pytest.raises(Transient, match="too long"):
        get()


@pytest.mark.parametrize("trouble", [servers.NoRange(), servers.WrongRange(), servers.Changed(times=2)])
def test_source_that_can_not_resume_is_read_again(trouble: servers.Misbehaviour, origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", servers.Cut(after=300_000, times=1), trouble)
    assert is_the_video(get())


def test_file_that_changes_between_cuts_is_not_mixed(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO[:1000] + bytes(len(VIDEO)))
    origin.misbehave("/x.mp4", servers.Stall(after=300_000, times=1))

    def change(done: int, _total: int | None) -> None:
        if done >= 300_000 and origin.count("/x.mp4") == 1:
            origin.put("/x.mp4", VIDEO)

    assert is_the_video(get(progress=change))


def test_busy_server_while_resuming_is_asked_again(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", servers.Stall(after=300_000, times=1))

    def busy(_done: int, _total: int | None) -> None:
        if origin.count("/x.mp4") == 1:
            origin.misbehave("/x.mp4", servers.Status(code=503, times=2))

    assert is_the_video(get(progress=busy))
    assert origin.count("/x.mp4") == 4


def test_announced_size_over_the_limit_is_refused(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)
    with pytest.raises(TooLarge):
        get(limits=Limits(max_bytes=1000))


def test_unannounced_size_over_the_limit_is_refused(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Body(content=VIDEO, length=None))
    with pytest.raises(TooLarge):
        get(limits=Limits(max_bytes=500_000))


def test_announced_size_beyond_the_disk_is_refused(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Body(content=VIDEO, length=10**17))
    with pytest.raises(DiskFull, match="this host has"):
        get(limits=Limits(max_bytes=10**18))


def test_cancelling_stops_within_one_piece(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO)

    def cancel(done: int, _total: int | None) -> None:
        if done > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        get(progress=cancel)


def test_cancelling_is_told_although_the_folder_has_been_swept(origin: Origin, tmp_path: Path) -> None:
    origin.put("/x.mp4", VIDEO)
    folder = tmp_path / "swept"
    folder.mkdir()

    def sweep_and_cancel(done: int, _total: int | None) -> None:
        if done > 0:
            shutil.rmtree(folder)
            raise Cancelled

    policy = Policy(frozenset({origin.host_port}))
    with pytest.raises(Cancelled):
        download(Source(origin.url("/x.mp4")), folder, policy=policy, limits=LIMITS, progress=sweep_and_cancel)


def test_slow_source_reports_every_piece(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO[:40_000])
    origin.misbehave("/x.mp4", servers.Slow(bytes_per_second=100_000))
    calls: list[int] = []
    get(progress=lambda done, _total: calls.append(done))
    assert len(set(calls)) >= 5


def test_private_address_is_forbidden(tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match=r"Add 10\.0\.0\.5:80 to FETCH_ALLOW_HOSTS"):
        download(
            Source("http://10.0.0.5/x.mp4"),
            tmp_path,
            policy=Policy(),
            limits=LIMITS,
            progress=Progress(),
        )


def test_failure_shows_no_query(origin: Origin, get: Get) -> None:
    with pytest.raises(Gone) as caught:
        get("/x.mp4?signature=secret")
    assert "secret" not in str(caught.value)
