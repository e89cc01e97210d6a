"""GET /api/videos/ID/download, and the file that its link leads to."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import AsyncClient
from django.urls import resolve

from archive_site.async_direct import PREFIXES
from queue_app.models import VideoQueue
from queue_app.queue import enqueue_video
from storage_app.deletion import delete_videos
from storage_app.models import StorageAccount, VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.file_names import attachment, file_name
from storage_app.playback.signing import EXACT, Key
from storage_app.playback.tickets import KIND, download_url
from tests.archive import CONTENT, KEY, archive, make_account

SOURCE = "https://93.184.216.34/video.mp4"


@pytest.fixture
def account(transactional_db: None, tmp_path: Path) -> StorageAccount:
    return make_account(tmp_path)


@pytest.fixture
def video(account: StorageAccount) -> VideoStore:
    return archive(KEY, [account])


def get(url: str, method: str = "get", **headers: str) -> Any:
    """The answer; `body` of it is there as `answer.read`."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")

    async def fetch() -> Any:
        answer: Any = await getattr(AsyncClient(), method)(path, headers=headers)
        answer.read = b"".join([piece async for piece in answer]) if answer.streaming else answer.content
        return answer

    return asyncio.run(fetch())


def link(some_id: object) -> Any:
    return get(f"/api/videos/{some_id}/download")


def test_the_link_leads_to_the_file(video: VideoStore) -> None:
    answer = link(video.pk)
    assert answer.status_code == 200
    file = get(answer.json()["url"])
    assert (file.status_code, file["Content-Length"], file["Content-Type"]) == (200, str(len(CONTENT)), "video/mp4")
    assert file.read == CONTENT
    until = datetime.fromisoformat(answer.json()["expires_at"])
    assert until > datetime.now(UTC)


def test_the_jobs_id_does_as_well(account: StorageAccount, video: VideoStore) -> None:
    job = enqueue_video(KEY, SOURCE)
    assert urlsplit((link(job.pk)).json()["url"]).path == f"/download/{video.pk}"


def test_a_part_can_be_asked_for(video: VideoStore) -> None:
    url = download_url(video.pk)[0]
    part = get(url, Range="bytes=100-199")
    assert (part.status_code, part["Content-Range"]) == (206, f"bytes 100-199/{len(CONTENT)}")
    assert part.read == CONTENT[100:200]
    assert part["Content-Disposition"].startswith("attachment;")
    assert (get(url, Range=f"bytes={len(CONTENT)}-")).status_code == 416


def test_head_tells_the_name_and_the_size(video: VideoStore) -> None:
    answer = get(download_url(video.pk)[0], "head")
    assert (answer.status_code, answer["Content-Length"]) == (200, str(len(CONTENT)))
    assert 'filename="Work 55825 - 01 [animasu 720p].mp4"' in answer["Content-Disposition"]


def test_an_unknown_id_is_not_found(account: StorageAccount) -> None:
    answer = link(uuid.uuid4())
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_a_job_that_is_not_ready_tells_its_status(account: StorageAccount) -> None:
    job = enqueue_video(KEY, SOURCE)
    answer = link(job.pk)
    assert (answer.status_code, answer.json()["error"], answer.json()["status"]) == (409, "not_ready", "pending")


def test_a_row_of_the_store_without_a_file_gives_no_link(video: VideoStore) -> None:
    job = enqueue_video(KEY, SOURCE)
    VideoQueue.objects.update(status="ready")
    VideoStore.objects.update(stored_file=None)
    for some_id in (video.pk, job.pk):
        answer = link(some_id)
        assert (answer.status_code, answer.json()["error"]) == (409, "no_file")
        assert "no file of it here" in answer.json()["detail"]


def test_a_deleted_video_is_gone(account: StorageAccount, video: VideoStore) -> None:
    url = download_url(video.pk)[0]
    job = enqueue_video(KEY, SOURCE)
    VideoQueue.objects.filter(pk=job.pk).update(status="ready")
    delete_videos([video.pk], actor="test", reason="test")
    for answer in (link(job.pk), get(url)):
        assert (answer.status_code, answer.json()["error"]) == (410, "deleted")


def changed(url: str, **values: str) -> str:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | values
    return f"{parts.path}?" + "&".join(f"{name}={text}" for name, text in query.items() if text)


@pytest.mark.parametrize(
    ("values", "status", "error"),
    [
        ({"sig": ""}, 403, "unsigned"),
        ({"exp": ""}, 403, "unsigned"),
        ({"sig": "A" * 43}, 403, "bad_signature"),
        ({"exp": "99999999999"}, 403, "bad_signature"),
        ({"exp": "x"}, 403, "bad_signature"),
        ({"kid": "00000000"}, 403, "bad_signature"),
    ],
    ids=str,
)
def test_a_tampered_link_is_refused(video: VideoStore, values: dict[str, str], status: int, error: str) -> None:
    answer = get(changed(download_url(video.pk)[0], **values))
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_a_link_is_good_for_its_video_alone(video: VideoStore, account: StorageAccount) -> None:
    other = archive(VideoKey(1, 1, "x", None), [account])
    query = urlsplit(download_url(video.pk)[0]).query
    assert (get(f"/download/{other.pk}?{query}")).status_code == 403


def test_a_link_for_the_proxy_downloads_nothing(video: VideoStore, settings: Any) -> None:
    key, expires = Key(settings.PROXY_SIGNING_KEY), int(time.time()) + 1000
    sig = key.sign(EXACT, expires, str(video.pk))
    assert (get(f"/download/{video.pk}?exp={expires}&kid={key.kid}&sig={sig}")).status_code == 403


def test_it_goes_the_short_way(video: VideoStore) -> None:
    path = urlsplit(download_url(video.pk)[0]).path
    assert path.startswith(PREFIXES)
    assert getattr(resolve(path).func, "without_middleware", False)


def test_a_link_ends(video: VideoStore, settings: Any) -> None:
    key, expires = Key(settings.PROXY_SIGNING_KEY), int(time.time()) - 1
    sig = key.sign(KIND, expires, str(video.pk))
    answer = get(f"/download/{video.pk}?exp={expires}&kid={key.kid}&sig={sig}")
    assert (answer.status_code, answer.json()["error"]) == (410, "expired")


def test_a_link_of_an_older_key_is_good(video: VideoStore, settings: Any) -> None:
    url = download_url(video.pk)[0]
    settings.PROXY_SIGNING_KEYS_OLD = [settings.PROXY_SIGNING_KEY]
    settings.PROXY_SIGNING_KEY = "a new key"
    assert (get(url)).status_code == 200


@pytest.mark.parametrize(
    ("title", "ascii_name", "name"),
    [
        ("Größe – Café", "Groe Cafe - 01 [animasu 720p].mp4", "Größe – Café - 01 [animasu 720p].mp4"),
        ("進撃の巨人", "01 [animasu 720p].mp4", "進撃の巨人 - 01 [animasu 720p].mp4"),
        ("../../etc/passwd", "etc passwd - 01 [animasu 720p].mp4", "etc passwd - 01 [animasu 720p].mp4"),
        ('x"; filename="y\r\nSet-Cookie: a=b', None, None),
        ("a\u202egnp.exe", "a gnp.exe - 01 [animasu 720p].mp4", "a gnp.exe - 01 [animasu 720p].mp4"),
        ("", "Work 55825 - 01 [animasu 720p].mp4", "Work 55825 - 01 [animasu 720p].mp4"),
    ],
    ids=["umlauts", "kanji", "folders", "injection", "direction", "none"],
)
def test_names_are_safe_and_readable(title: str, ascii_name: str | None, name: str | None) -> None:
    value = attachment(file_name(KEY, title))
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
    parsed = Message()
    parsed["Content-Disposition"] = value
    if name is not None:
        assert f'filename="{ascii_name}"' in value
        assert parsed.get_filename() in {name, ascii_name}


def test_long_titles_are_cut_between_characters() -> None:
    name = file_name(KEY, "巨" * 300)
    assert len(name.encode()) < 255
    assert name.endswith(" - 01 [animasu 720p].mp4")
