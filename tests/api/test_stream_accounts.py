"""GET /stream of videos whose copies lie on S3 and on Hugging Face: real servers, and the backends as they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from archive_site.pieces import PiecesResponse
from storage_app.backends import backend_for
from storage_app.backends.s3 import Bucket, S3Backend
from storage_app.credentials import seal
from storage_app.models import AccountKind, Replica, Sidecar, SidecarKind, StorageAccount, VideoStore
from tests.api import stream_stage
from tests.archive import CONTENT, copy_of, make_account
from tests.playing import Played, play
from tests.servers.hub import Hub
from tests.servers.s3_faults import Cut, Refuse, S3Faults, Stall
from tests.storage.cases import Desk

URL = "/stream/55825/1/animasu/720p"
SIZE = len(CONTENT)


@pytest.fixture
def s3_account(db: None, s3_bucket: Bucket) -> StorageAccount:
    return StorageAccount.objects.create(
        index=7,
        kind=AccountKind.S3,
        username="s3",
        endpoint=s3_bucket.endpoint,
        bucket=s3_bucket.bucket,
        access_key=s3_bucket.access_key,
        secret=seal(s3_bucket.secret_key),
    )


@pytest.fixture
def hub_account(db: None, hub: Hub) -> StorageAccount:
    token = hub.add_user("ann").token
    return StorageAccount.objects.create(
        index=8, kind=AccountKind.HUGGINGFACE, username="ann", endpoint=hub.endpoint, secret=seal(token)
    )


@pytest.fixture
def local_account(db: None, tmp_path: Path) -> StorageAccount:
    return make_account(tmp_path, 9)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk")


def store(desk: Desk, *accounts: StorageAccount) -> VideoStore:
    """The video on these accounts, the first of which is its primary."""
    return stream_stage.store(desk, CONTENT, *accounts)


def get(method: str = "get", **headers: str) -> Played:
    return play(URL, method, **headers)


def body(answer: Played) -> bytes:
    assert isinstance(answer.response, PiecesResponse)
    return answer.body


def test_a_bucket_plays_whole_and_in_ranges(s3_account: StorageAccount, desk: Desk) -> None:
    store(desk, s3_account)
    assert body(get()) == CONTENT
    part = get(Range="bytes=1000-700000")
    assert (part.status_code, part["Content-Range"]) == (206, f"bytes 1000-700000/{SIZE}")
    assert body(part) == CONTENT[1000:700001]


def test_a_private_repository_plays_whole_and_in_ranges(hub_account: StorageAccount, hub: Hub, desk: Desk) -> None:
    store(desk, hub_account)
    assert body(get()) == CONTENT
    assert body(get(Range="bytes=-7")) == CONTENT[-7:]
    assert hub.tokens_leaked == 0


def test_who_asks_for_the_head_or_has_it_already_reaches_no_account(
    s3_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account)
    before = len(s3_faults.requests)
    head = get("head")
    assert (head.status_code, head["Content-Length"]) == (200, str(SIZE))
    assert get(If_None_Match=head["ETag"]).status_code == 304
    assert get(Range=f"bytes={SIZE}-").status_code == 416
    assert len(s3_faults.requests) == before


def test_seeking_asks_an_account_for_the_bytes_alone(
    s3_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account)
    body(get(Range="bytes=0-9"))
    before = len(s3_faults.requests)
    body(get(Range="bytes=500000-500009"))
    assert [request.operation for request in s3_faults.requests[before:]] == ["GetObject"]


@pytest.mark.parametrize(("changed", "asked"), [(False, ["GetObject"]), (True, ["GetObject", "HeadObject"])])
def test_an_object_without_its_hash_is_known_by_its_mark_or_else_asked_about(
    s3_account: StorageAccount, s3_faults: S3Faults, desk: Desk, changed: bool, asked: list[str]
) -> None:
    file = store(desk, s3_account).stored_file
    assert file is not None
    backend = backend_for(s3_account)
    assert isinstance(backend, S3Backend)
    key = f"{file.repo}/{file.path}"
    source = {"Bucket": s3_account.bucket, "Key": key}
    backend.client.call("copy_object", Key=key, CopySource=source, MetadataDirective="REPLACE", Metadata={})
    Replica.objects.update(etag="another" if changed else backend.objects.head(key)["ETag"])
    before = len(s3_faults.requests)
    assert body(get(Range="bytes=7-9")) == CONTENT[7:10]
    assert [request.operation for request in s3_faults.requests[before:]] == asked


@pytest.mark.parametrize("after", [0, 1, 700_000])
def test_where_a_bucket_breaks_off_another_account_goes_on_at_the_same_byte(
    s3_account: StorageAccount, hub_account: StorageAccount, s3_faults: S3Faults, desk: Desk, after: int
) -> None:
    store(desk, s3_account, hub_account)
    s3_faults.misbehave("GetObject", Cut(times=1, after=after), Refuse(times=99, skip=1, status=503))
    assert body(get(Range="bytes=3-")) == CONTENT[3:]


def test_where_a_folder_fails_a_repository_goes_on(
    hub_account: StorageAccount, local_account: StorageAccount, desk: Desk
) -> None:
    video = store(desk, local_account, hub_account)
    place = copy_of(video, local_account)
    assert body(play(URL, "get", lambda: os.truncate(place, 600_000))) == CONTENT


def test_an_account_whose_secret_cannot_be_read_is_passed_over(
    s3_account: StorageAccount, hub_account: StorageAccount, desk: Desk
) -> None:
    store(desk, s3_account, hub_account)
    StorageAccount.objects.filter(pk=s3_account.pk).update(secret="sealed under another key")
    assert body(get()) == CONTENT


def test_without_any_account_that_answers_it_is_a_503(s3_account: StorageAccount, desk: Desk) -> None:
    video = store(desk, s3_account)
    assert video.stored_file is not None
    backend_for(s3_account).delete(video.stored_file.repo, video.stored_file.path)
    assert get().status_code == 503


def test_what_lies_beside_a_video_is_shown_from_a_bucket(
    admin_client: Client, s3_account: StorageAccount, desk: Desk
) -> None:
    video = store(desk, s3_account)
    assert video.stored_file is not None
    sidecar = Sidecar.objects.create(video=video, stored_file=video.stored_file, kind=SidecarKind.SUBTITLES)
    answer = admin_client.get(f"/admin/storage_app/sidecar/{sidecar.pk}/file")
    assert hashlib.sha256(answer.content).hexdigest() == hashlib.sha256(CONTENT).hexdigest()


def test_a_viewer_who_leaves_in_the_middle_ends_the_accounts_answer(
    s3_account: StorageAccount, s3_faults: S3Faults, desk: Desk
) -> None:
    store(desk, s3_account)
    s3_faults.misbehave("GetObject", Stall(after=700_000))

    async def leave() -> bytes:
        answer = await AsyncClient().get(URL)
        assert isinstance(answer, PiecesResponse)
        first = await anext(aiter(answer))
        answer.close()
        return first

    first = async_to_sync(leave)()
    assert first
    assert CONTENT.startswith(first)
    s3_faults.misbehave("GetObject")
    assert body(get(Range="bytes=0-1")) == CONTENT[:2]
