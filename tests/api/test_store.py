"""DELETE /api/v1/store/{id}."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from storage_app.models import StorageAccount, StorageTask, Tombstone, VideoStore
from tests.archive import KEY, archive
from tests.environment import API_TOKEN, TRIGGER_TOKEN

pytestmark = pytest.mark.django_db


@pytest.fixture
def video(accounts: list[StorageAccount]) -> VideoStore:
    return archive(KEY, accounts)


def delete(video_id: object, body: bytes = b"", token: str = API_TOKEN) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return Client().delete(f"/api/v1/store/{video_id}", body, content_type="application/json", headers=headers)


def test_a_video_is_deleted_with_its_reason(video: VideoStore) -> None:
    answer = delete(video.pk, json.dumps({"reason": "Not ours."}).encode())
    assert (answer.status_code, answer.content) == (204, b"")
    assert Tombstone.objects.values_list("actor", "reason").get() == ("API", "Not ours.")
    assert StorageTask.objects.filter(kind="remove").count() == 2
    assert delete(video.pk).status_code == 404


def test_the_body_may_be_left_out(video: VideoStore) -> None:
    assert delete(video.pk).status_code == 204
    assert Tombstone.objects.get().reason == "Deleted over the API."


@pytest.mark.parametrize("token", ["", "wrong", TRIGGER_TOKEN])
def test_without_the_api_token_nothing_is_deleted(token: str, video: VideoStore) -> None:
    assert delete(video.pk, token=token).status_code == 401
    assert VideoStore.objects.filter(pk=video.pk).exists()


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"reason": "\\u0000"}', json.dumps({"reason": "x" * 1001}).encode()])
def test_a_body_that_cannot_be_read_deletes_nothing(body: bytes, video: VideoStore) -> None:
    answer = delete(video.pk, body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/json"
    assert VideoStore.objects.filter(pk=video.pk).exists()


@pytest.mark.parametrize("video_id", [uuid4(), "junk"])
def test_what_there_is_not_is_not_found(video_id: object) -> None:
    assert delete(video_id).status_code == 404
