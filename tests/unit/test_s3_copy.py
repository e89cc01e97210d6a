"""Copies that the service makes by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from storage_app.backends.base import ContentMismatchError, ObjectMissingError
from storage_app.backends.local import LocalBackend
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.rgw import Rgw
from tests.servers.s3 import PART, PATH, REPO, file_of, new_bucket, put, read
from tests.servers.s3_faults import Flip, Refuse, S3Faults


@pytest.fixture
def source(rgw: Rgw, s3_faults: S3Faults, tmp_path: Path) -> S3Backend:
    return S3Backend(new_bucket(rgw, tmp_path, s3_faults.endpoint))


@pytest.mark.parametrize("size", [1, 1000, 2 * PART + 1000])
def test_no_byte_comes_through_here(
    s3_bucket: Bucket, source: S3Backend, s3_faults: S3Faults, tmp_path: Path, size: int
) -> None:
    target, file = S3Backend(s3_bucket), file_of(tmp_path, size)
    first = put(source, file)
    content = file.source.read_bytes()
    file.source.unlink()
    before = s3_faults.sent("PutObject") + s3_faults.sent("UploadPart")
    assert target.copy_from(source, file) == first
    assert s3_faults.sent("PutObject") + s3_faults.sent("UploadPart") == before
    assert target.stat(REPO, PATH).sha256 == file.sha256
    assert read(target) == content


def test_what_our_key_may_not_read_is_not_copied(rgw: Rgw, s3_faults: S3Faults, tmp_path: Path) -> None:
    uid = f"other{s3_faults.endpoint.rpartition(':')[2]}"
    rgw.new_user(uid, uid, "other-secret")
    source = S3Backend(new_bucket(rgw, tmp_path, access_key=uid, secret_key="other-secret"))
    file = file_of(tmp_path, 1000)
    put(source, file)
    assert S3Backend(new_bucket(rgw, tmp_path)).copy_from(source, file) is None


def test_another_content_or_none_is_not_copied(s3_bucket: Bucket, source: S3Backend, tmp_path: Path) -> None:
    target, file = S3Backend(s3_bucket), file_of(tmp_path, 1000)
    assert target.copy_from(source, file) is None
    put(source, file_of(tmp_path, 1000, seed=2))
    assert target.copy_from(source, file) is None
    with pytest.raises(ObjectMissingError):
        target.stat(REPO, PATH)


def test_another_service_or_kind_can_not_be_copied_from(s3_bucket: Bucket, tmp_path: Path) -> None:
    target, file = S3Backend(s3_bucket), file_of(tmp_path, 1000)
    assert target.copy_from(LocalBackend(tmp_path), file) is None
    assert target.copy_from(S3Backend(replace(s3_bucket, endpoint="https://s3.example.com")), file) is None


@pytest.mark.parametrize(("size", "operation"), [(1000, "CopyObject"), (2 * PART, "UploadPartCopy")])
def test_a_service_that_can_not_copy_leaves_nothing_begun(
    s3_bucket: Bucket, source: S3Backend, s3_faults: S3Faults, tmp_path: Path, size: int, operation: str
) -> None:
    target, file = S3Backend(s3_bucket), file_of(tmp_path, size)
    put(source, file)
    s3_faults.misbehave(operation, Refuse(status=501, code="NotImplemented"))
    assert target.copy_from(source, file) is None
    assert not target.client.call("list_multipart_uploads").get("Uploads")


def test_a_copy_whose_tail_differs_is_not_confirmed(
    s3_bucket: Bucket, source: S3Backend, s3_faults: S3Faults, tmp_path: Path
) -> None:
    file = file_of(tmp_path, 1000)
    put(source, file)
    s3_faults.misbehave("GetObject", Flip(at=1, times=1))
    with pytest.raises(ContentMismatchError, match="reads back differently"):
        S3Backend(s3_bucket).copy_from(source, file)
