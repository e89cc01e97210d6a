"""Accounts of every kind, for tests of /stream through the site in processes of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from storage_app.backends import backend_for
from storage_app.backends.s3 import Bucket
from storage_app.credentials import seal
from storage_app.models import AccountKind, Replica, StorageAccount, VideoStore
from tests.archive import KEY, archive
from tests.servers.hub import Hub
from tests.storage.cases import Desk

SIZE = 100_000_000
URL = "/stream/55825/1/animasu/720p"


@pytest.fixture(scope="session")
def content() -> bytes:
    return random.Random(6).randbytes(SIZE)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk")


@pytest.fixture
def bucket_account(transactional_db: None, s3_bucket: Bucket) -> StorageAccount:
    return StorageAccount.objects.create(
        index=7, kind=AccountKind.S3, username="s3", endpoint=s3_bucket.endpoint, bucket=s3_bucket.bucket,
        access_key=s3_bucket.access_key, secret=seal(s3_bucket.secret_key),
    )  # fmt: skip


@pytest.fixture
def repositories(transactional_db: None, hub: Hub) -> list[StorageAccount]:
    return [
        StorageAccount.objects.create(
            index=index, kind=AccountKind.HUGGINGFACE, username=name, endpoint=hub.endpoint,
            secret=seal(hub.add_user(name).token),
        )
        for index, name in ((8, "ann"), (9, "ben"))
    ]  # fmt: skip


def store(desk: Desk, content: bytes, *accounts: StorageAccount) -> VideoStore:
    """The video on these accounts, the first of which is its primary."""
    video = archive(KEY, [account for account in accounts if account.kind == AccountKind.LOCAL], content)
    file = video.stored_file
    assert file is not None
    for account in accounts:
        if account.kind != AccountKind.LOCAL:
            backend_for(account).put([desk.file(content, file.path, file.repo)], lambda _: None)
            Replica.objects.create(stored_file=file, account=account)
    VideoStore.objects.update(hf_account=accounts[0].index)
    return video
