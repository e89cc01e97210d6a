"""Files that are put into a bucket."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from storage_app.backends.base import ContentMismatchError, ObjectMissingError, StorageError
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.rgw import Rgw
from tests.servers.s3 import MIB, PART, PATH, REPO, file_of, new_bucket, put, read
from tests.servers.s3_faults import AnswerHeaders, Flip, S3Faults

SIZES = (0, 1, 100_000, PART, 2 * PART + 12_345)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_comes_out_again(s3_bucket: Bucket, tmp_path: Path, size: int) -> None:
    backend, file, sent = S3Backend(s3_bucket), file_of(tmp_path, size), [0]
    stored = put(backend, file, sent.append)
    assert read(backend) == file.source.read_bytes()
    assert stored == backend.stat(REPO, PATH)
    assert (stored.size, stored.sha256) == (size, file.sha256)
    assert sent[-1] == size
    assert sent == sorted(sent)


@pytest.mark.parametrize("size", SIZES[1:])
def test_the_same_again_sends_nothing(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, size: int) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, size)
    first = put(backend, file)
    before = s3_faults.sent("PutObject") + s3_faults.sent("UploadPart")
    assert before == size
    assert put(backend, file) == first
    assert s3_faults.sent("PutObject") + s3_faults.sent("UploadPart") == before


@pytest.mark.parametrize("size", SIZES[1:])
def test_another_content_takes_its_place(s3_bucket: Bucket, tmp_path: Path, size: int) -> None:
    backend, other = S3Backend(s3_bucket), file_of(tmp_path, size, seed=2)
    put(backend, file_of(tmp_path, size))
    assert put(backend, other).sha256 == other.sha256
    assert read(backend) == other.source.read_bytes()


def test_progress_counts_over_all_files(s3_bucket: Bucket, tmp_path: Path) -> None:
    files = [file_of(tmp_path, size, path=f"1/{size}.mp4") for size in (1000, PART, 2000)]
    sent: list[int] = []
    S3Backend(s3_bucket).put(files, sent.append)
    assert sent == sorted(sent)
    assert sent[-1] == PART + 3000


def test_a_file_that_changed_is_not_sent(s3_bucket: Bucket, tmp_path: Path) -> None:
    backend = S3Backend(s3_bucket)
    with pytest.raises(ContentMismatchError, match="sha256"):
        put(backend, replace(file_of(tmp_path, 1000), sha256="0" * 64))
    with pytest.raises(ObjectMissingError):
        backend.stat(REPO, PATH)


@pytest.mark.parametrize("size", [1000, PART])
def test_a_file_that_was_cut_off_is_not_sent(s3_bucket: Bucket, tmp_path: Path, size: int) -> None:
    file = file_of(tmp_path, size)
    os.truncate(file.source, size - 1)
    with pytest.raises(ContentMismatchError, match="bytes any more"):
        put(S3Backend(s3_bucket), file)


def test_a_file_that_is_gone_is_an_error_for_people(s3_bucket: Bucket, tmp_path: Path) -> None:
    file = file_of(tmp_path, 1000)
    file.source.unlink()
    with pytest.raises(StorageError, match="can't be read"):
        put(S3Backend(s3_bucket), file)


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/etc/passwd", "a//b", "", "a\0b"])
def test_a_key_is_what_it_seems(s3_bucket: Bucket, path: str) -> None:
    with pytest.raises(StorageError, match="Not a path"):
        S3Backend(s3_bucket).stat(REPO, path)


@pytest.mark.parametrize("size", [1000, PART])
def test_it_is_stored_with_its_type_and_hash(s3_bucket: Bucket, tmp_path: Path, size: int) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, size)
    put(backend, file)
    head = backend.client.call("head_object", Key=f"{REPO}/{PATH}")
    assert (head["ContentType"], head["Metadata"]) == ("video/mp4", {"sha256": file.sha256})


@pytest.mark.parametrize("size", [1000, PART + 1])
def test_the_service_verifies_what_arrives(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, size: int) -> None:
    put(S3Backend(s3_bucket), file_of(tmp_path, size))
    bodies = [request for request in s3_faults.requests if request.operation in {"PutObject", "UploadPart"}]
    assert bodies
    assert all("Content-MD5" in request.headers for request in bodies)


@pytest.mark.parametrize("size", [1000, PART + 1])
def test_it_is_encrypted_with_the_key_that_is_asked_for(rgw: Rgw, tmp_path: Path, size: int) -> None:
    bucket = new_bucket(rgw, tmp_path, encryption="aws:kms:tests-key")
    backend, file = S3Backend(bucket), file_of(tmp_path, size)
    assert put(backend, file).sha256 == file.sha256
    head = backend.client.call("head_object", Key=f"{REPO}/{PATH}")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "tests-key")
    assert read(backend) == file.source.read_bytes()


def test_the_encryption_header_is_sent(rgw: Rgw, s3_faults: S3Faults, tmp_path: Path) -> None:
    bucket = new_bucket(rgw, tmp_path, s3_faults.endpoint, encryption="AES256")
    put(S3Backend(bucket), file_of(tmp_path, 1000))
    (request,) = [request for request in s3_faults.requests if request.operation == "PutObject"]
    assert request.headers["x-amz-server-side-encryption"] == "AES256"


def marked_otherwise(s3_faults: S3Faults) -> None:
    """As where ETags are no md5 sums, such as with keys of a KMS at Amazon."""
    for operation in ("HeadObject", "GetObject"):
        s3_faults.misbehave(operation, AnswerHeaders(headers={"ETag": '"opaque"'}))


@pytest.mark.parametrize("size", [1000, PART + 1])
def test_without_a_mark_to_compare_all_is_read_back(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, size: int
) -> None:
    marked_otherwise(s3_faults)
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, size)
    assert put(backend, file).sha256 == file.sha256
    sent = s3_faults.sent("PutObject") + s3_faults.sent("UploadPart")
    assert put(backend, file).sha256 == file.sha256
    assert s3_faults.sent("PutObject") + s3_faults.sent("UploadPart") == sent


def test_without_a_mark_to_compare_a_damaged_object_is_found(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    s3_faults.misbehave("HeadObject", AnswerHeaders(headers={"ETag": '"opaque"'}))
    s3_faults.misbehave("GetObject", Flip(at=MIB))
    with pytest.raises(ContentMismatchError, match="sha256"):
        put(S3Backend(s3_bucket), file_of(tmp_path, PART + 1))


def test_an_object_of_other_tools_is_compared_too(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, PART - 1)
    backend.client.call("put_object", Key=f"{REPO}/{PATH}", Body=file.source.read_bytes())
    assert backend.stat(REPO, PATH).sha256 is None
    assert put(backend, file).etag == hashlib.md5(file.source.read_bytes()).hexdigest()
    assert s3_faults.count("PutObject") == 1
