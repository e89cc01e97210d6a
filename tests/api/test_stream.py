"""GET /stream: real files, byte for byte, through Django's synchronous and asynchronous clients."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient

from archive_site.pieces import PiecesResponse
from queue_app.queue import enqueue_video
from storage_app.archived import archived_video
from storage_app.backends.local import LocalBackend
from storage_app.deletion import delete_videos
from storage_app.models import Replica, StorageAccount, StoredFile, VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.copies import LocalCopy, NoCopyLeft
from storage_app.playback.ranges import ByteRange
from storage_app.replicas import Content
from tests.archive import CONTENT, KEY, archive, copy_of, make_account
from tests.playing import Played, answer_of, play

URL = "/stream/55825/1/animasu/720p"
CSP = "default-src 'none'; media-src 'self'; sandbox"
SIZE = len(CONTENT)


@pytest.fixture
def accounts(db: None, tmp_path: Path) -> list[StorageAccount]:
    return [make_account(tmp_path, index) for index in (1, 2)]


@pytest.fixture
def video(accounts: list[StorageAccount]) -> VideoStore:
    return archive(KEY, accounts)


def get(url: str = URL, method: str = "get", **headers: str) -> Played:
    return play(url, method, **headers)


def body(answer: Played) -> bytes:
    assert isinstance(answer.response, PiecesResponse)
    return answer.body


@pytest.mark.parametrize("url", [URL, URL + "/"])
def test_the_whole_file_is_served_as_it_was_stored(video: VideoStore, url: str) -> None:
    answer = get(url)
    assert (answer.status_code, answer["Content-Type"], answer["Content-Length"]) == (
        200,
        "video/mp4",
        str(SIZE),
    )
    assert body(answer) == CONTENT


def test_a_player_learns_that_it_may_seek_and_what_it_got(video: VideoStore) -> None:
    answer = get()
    assert answer["Accept-Ranges"] == "bytes"
    assert video.stored_file is not None
    assert answer["ETag"] == f'"{video.stored_file.sha256}"'
    assert answer["Last-Modified"].endswith(" GMT")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=1000-", 1000, SIZE - 1), ("bytes=-7", SIZE - 7, SIZE - 1),
     ("bytes=5-999999999", 5, SIZE - 1)],
)  # fmt: skip
def test_one_range_is_206_with_these_bytes(video: VideoStore, asked: str, first: int, last: int) -> None:
    answer = get(Range=asked)
    assert (answer.status_code, answer["Content-Range"]) == (206, f"bytes {first}-{last}/{SIZE}")
    assert answer["Content-Length"] == str(last - first + 1)
    assert body(answer) == CONTENT[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-1", "rubbish", "items=0-1"])
def test_several_ranges_and_malformed_ones_are_the_whole_file(video: VideoStore, asked: str) -> None:
    answer = get(Range=asked)
    assert (answer.status_code, "Content-Range" in answer) == (200, False)
    assert body(answer) == CONTENT


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=-0"])
def test_a_range_outside_the_file_is_416_with_its_size(video: VideoStore, asked: str) -> None:
    answer = get(Range=asked)
    assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{SIZE}")


def test_head_has_the_headers_of_get_and_no_body(video: VideoStore) -> None:
    head, whole = get(method="head"), get()
    names = ["Content-Length", "Content-Type", "ETag", "Last-Modified", "Accept-Ranges", "Cache-Control"]
    assert [head[name] for name in names] == [whole[name] for name in names]
    assert (head.status_code, head.content, body(whole)) == (200, b"", CONTENT)


def test_head_ignores_range_which_is_defined_for_get_alone(video: VideoStore) -> None:
    assert get(method="head", Range="bytes=0-1").status_code == 200


def test_who_has_it_already_gets_304(video: VideoStore) -> None:
    known = get(method="head")
    for headers in (
        {"If_None_Match": known["ETag"]},
        {"If_None_Match": "*"},
        {"If_Modified_Since": known["Last-Modified"]},
    ):
        answer = get(**headers)
        assert (answer.status_code, answer["ETag"]) == (304, known["ETag"])


def test_who_has_something_else_gets_the_file(video: VideoStore) -> None:
    for headers in ({"If_None_Match": '"other"'}, {"If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}):
        answer = get(**headers)
        assert (answer.status_code, body(answer)) == (200, CONTENT)


@pytest.mark.parametrize(("if_range", "status"), [("etag", 206), ("modified", 206), ('"other"', 200)])
def test_if_range_continues_only_the_same_content(video: VideoStore, if_range: str, status: int) -> None:
    known = get(method="head")
    value = {"etag": known["ETag"], "modified": known["Last-Modified"]}.get(if_range, if_range)
    answer = get(Range="bytes=0-1", If_Range=value)
    assert (answer.status_code, len(body(answer))) == (status, 2 if status == 206 else SIZE)


def test_any_site_may_play_it_and_read_the_range_headers(video: VideoStore) -> None:
    for answer in (get(method="head"), get("/stream/1/1/x"), get(Range="bytes=-0"), get(method="options")):
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert "Content-Range" in answer["Access-Control-Expose-Headers"]


def test_a_preflight_allows_range_without_asking_the_database(django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        answer = get(method="options", Access_Control_Request_Method="GET", Access_Control_Request_Headers="range")
    assert (answer.status_code, "Range" in answer["Access-Control-Allow-Headers"]) == (204, True)


def test_a_video_without_resolution_has_a_url_without_one(accounts: list[StorageAccount]) -> None:
    archive(VideoKey(1, 0, "p", None), accounts)
    assert body(get("/stream/1/0/p")) == CONTENT
    assert get("/stream/1/0/p/720p").status_code == 404


# --- What isn't there ---


@pytest.mark.parametrize(
    "path",
    [
        "1/1/x/720p", "-1/1/x", "9" * 40 + "/1/x", "1/" + "9" * 40 + "/x", "a/b/c", "1/1/%00", "1/1/x/%00",
        "1/1/%ff",
        "1/1/..", "1/1/x/..", "1/1/x%0A", "1.5/1/x", "%D9%A3/1/x", "1/1/" + "x" * 300,
    ],
)  # fmt: skip
def test_what_no_video_is_called_is_a_json_404(db: None, path: str) -> None:
    answer = get("/stream/" + path)
    assert (answer.status_code, answer.json()["status"]) == (404, None)


def test_404_says_that_it_is_in_the_queue(db: None) -> None:
    enqueue_video(KEY, "https://example.com/v")
    answer = get()
    assert answer.status_code == 404
    assert answer.json()["queued"] is True
    assert answer.json()["status"] == "pending"


# --- Copies ---


def test_a_missing_copy_is_passed_over(video: VideoStore, accounts: list[StorageAccount]) -> None:
    copy_of(video, accounts[0]).unlink()
    assert body(get()) == CONTENT


def test_a_copy_of_the_wrong_size_is_passed_over(video: VideoStore, accounts: list[StorageAccount]) -> None:
    copy_of(video, accounts[0]).write_bytes(CONTENT[:-1])
    assert body(get()) == CONTENT


def test_without_any_good_copy_it_is_a_503_in_json(video: VideoStore, accounts: list[StorageAccount]) -> None:
    for account in accounts:
        copy_of(video, account).unlink()
    for method in ("get", "head"):
        assert get(method=method).status_code == 503
    assert "copy" in get().json()["detail"]


def test_a_video_without_known_copies_is_503(video: VideoStore) -> None:
    Replica.objects.all().delete()
    assert get().status_code == 503
    VideoStore.objects.update(stored_file=None)
    assert get().status_code == 503


def test_the_primary_copy_is_preferred(accounts: list[StorageAccount]) -> None:
    video = archive(KEY, accounts)
    VideoStore.objects.update(hf_account=2)
    copy_of(video, accounts[1]).write_bytes(CONTENT[::-1])
    assert body(get()) == CONTENT[::-1]


def test_it_takes_one_query(video: VideoStore, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        body(get())


def test_that_query_tells_what_the_models_do(video: VideoStore) -> None:
    StorageAccount.objects.filter(index=2).update(secret="sealed", enabled=False, pause_reason="Its disk is full.")
    found, file = archived_video(KEY), video.stored_file
    assert found
    assert file
    assert (found.primary, found.created_at, found.size) == (video.hf_account, video.created_at, file.size)
    assert (found.content_type, found.file) == (file.content_type, Content(file.pk, file.repo, file.path, file.sha256))
    replicas = {replica.id: replica for replica in found.replicas}
    assert len(replicas) == 2
    for stored in file.replicas.select_related("account"):
        held = replicas[stored.pk]
        assert held.etag == stored.etag
        assert asdict(held.account) == {name: getattr(stored.account, name) for name in asdict(held.account)}


def test_a_video_that_is_deleted_is_gone_with_the_next_request(video: VideoStore) -> None:
    assert get().status_code == 200
    delete_videos([video.pk], "an operator", "Not wanted any more.")
    assert get().status_code == 410


def lying(folder: Path) -> tuple[LocalCopy, Path]:
    """A copy in this folder, and its file."""
    place = folder / "weaboo-1" / "v.mp4"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    return LocalCopy(folder.name, 1, LocalBackend(folder), "weaboo-1", "v.mp4"), place


def test_a_copy_that_is_cut_while_it_plays_is_continued_from_the_next(tmp_path: Path) -> None:
    (first, place), (second, _) = lying(tmp_path / "1"), lying(tmp_path / "2")

    async def watch() -> bytes:
        read = b""
        async for piece in await answer_of([first, second], SIZE, ByteRange(3, SIZE - 3)):
            if not read:
                place.open("r+b").truncate(len(piece) + 3)
            read += piece
        return read

    assert asyncio.run(watch()) == CONTENT[3:-3]


def test_when_the_last_copy_is_cut_the_answer_breaks_off_rather_than_lie(tmp_path: Path) -> None:
    only, place = lying(tmp_path / "1")

    async def watch() -> None:
        answer = await answer_of([only], SIZE)
        place.open("r+b").truncate(0)
        async for _ in answer:
            pass

    with pytest.raises(NoCopyLeft):
        asyncio.run(watch())


def test_a_copy_whose_disk_is_not_mounted_is_passed_over(video: VideoStore, accounts: list[StorageAccount]) -> None:
    root = Path(accounts[0].root)
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    assert body(get()) == CONTENT
    assert get(method="head").status_code == 200


# --- Strangers' content ---


@pytest.mark.parametrize(
    ("stored", "served"),
    [
        ("video/mp4", "video/mp4"),
        ("video/x-matroska", "video/x-matroska"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("video/mp4, text/html", "application/octet-stream"),
        ("video/mp4\n", "application/octet-stream"),
        ("text/html\r\nSet-Cookie: a=b", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_nothing_is_served_that_a_browser_would_run(video: VideoStore, stored: str, served: str) -> None:
    StoredFile.objects.update(content_type=stored)
    for answer in (get(), get(method="head"), get(Range="bytes=5-9")):
        assert answer["Content-Type"] == served
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"] == CSP
    assert body(get()) == CONTENT


# --- Under ASGI ---


@pytest.mark.django_db(transaction=True)
def test_a_request_gives_the_database_back_before_its_answer_begins(tmp_path: Path) -> None:
    archive(KEY, [make_account(tmp_path)])

    async def fetch() -> tuple[int, bytes, bool]:
        answer = await AsyncClient().get(URL, headers={"Range": "bytes=10-600000"})
        assert isinstance(answer, PiecesResponse)
        held = await sync_to_async(lambda: connection.connection is not None)()
        return answer.status_code, b"".join([piece async for piece in answer]), held

    assert asyncio.run(fetch()) == (206, CONTENT[10:600001], False)


@pytest.mark.parametrize("after", [0, 1])
def test_a_viewer_who_leaves_leaves_no_open_file(tmp_path: Path, after: int) -> None:
    before = open_files(tmp_path)

    async def leave() -> int:
        response = await answer_of([lying(tmp_path / "1")[0]], SIZE)
        for _ in range(after):
            await anext(aiter(response))
        open_now = open_files(tmp_path)
        response.close()
        return open_now

    assert asyncio.run(leave()) == 1
    assert open_files(tmp_path) == before == 0


def open_files(folder: Path) -> int:
    return sum(Path(file.path).is_relative_to(folder) for file in psutil.Process().open_files())
