"""Files that are sent to a bucket while they still grow."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage_app.backends.base import FileToPut, ObjectMissingError, Stopped, StorageError
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.s3 import PART, PATH, REPO, file_of, put, read
from tests.servers.s3_faults import CutUpload, Refuse, S3Faults

SIZE = 4 * PART + 1000


class Growing:
    """A download that is as far as `grow` says, and ends early with `stop`."""

    def __init__(self, file: FileToPut) -> None:
        self.path, self.size = file.source, file.size
        self._there, self._over = 0, False
        self._changed = threading.Condition()

    def grow(self, there: int) -> None:
        with self._changed:
            self._there = there
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self, position: int, seconds: float) -> int:
        """See GrowingFile.wait."""
        with self._changed:
            self._changed.wait_for(lambda: self._there > position or self._over, seconds)
            if self._over and self._there <= position:
                raise Stopped
            return self._there


def ahead(backend: S3Backend, growing: Growing) -> None:
    backend.send_ahead(growing, REPO, PATH)


def test_what_was_sent_ahead_is_not_sent_again(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, SIZE)
    growing = Growing(file)
    growing.grow(SIZE)
    ahead(backend, growing)
    assert s3_faults.sent("UploadPart") == SIZE
    with pytest.raises(ObjectMissingError):
        backend.stat(REPO, PATH)
    stored = put(backend, file)
    assert s3_faults.sent("UploadPart") == SIZE
    assert stored == backend.stat(REPO, PATH)
    assert stored.sha256 == file.sha256
    assert read(backend) == file.source.read_bytes()


def test_only_complete_parts_are_sent_and_put_sends_the_rest(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, SIZE)
    growing = Growing(file)
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(ahead, backend, growing)
        for there in (1, PART - 1, PART, 2 * PART + 7):
            growing.grow(there)
        growing.stop()
        assert isinstance(sending.exception(60), Stopped)
    s3_faults.wait_until_quiet()
    assert s3_faults.sent("UploadPart") <= 2 * PART
    assert put(backend, file).sha256 == file.sha256
    assert s3_faults.sent("UploadPart") <= SIZE + PART
    assert read(backend) == file.source.read_bytes()


def test_it_goes_on_in_another_process(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    file = file_of(tmp_path, SIZE)
    growing = Growing(file)
    growing.grow(SIZE)
    s3_faults.misbehave("UploadPart", CutUpload(skip=2))
    with pytest.raises(StorageError):
        ahead(S3Backend(s3_bucket), growing)
    s3_faults.misbehave("UploadPart")
    ahead(S3Backend(s3_bucket), growing)
    assert s3_faults.count("CreateMultipartUpload") == 1
    before = s3_faults.sent("UploadPart")
    put(S3Backend(s3_bucket), file)
    assert s3_faults.sent("UploadPart") == before


def test_a_download_that_began_anew_is_stored_as_it_ended(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    backend, first, second = S3Backend(s3_bucket), file_of(tmp_path, SIZE), file_of(tmp_path, SIZE, seed=2)
    growing = Growing(first)
    growing.grow(SIZE)
    ahead(backend, growing)
    assert put(backend, second).sha256 == second.sha256
    assert read(backend) == second.source.read_bytes()


def test_a_small_file_waits_for_put(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    file, before = file_of(tmp_path, PART - 1), len(s3_faults.requests)
    ahead(S3Backend(s3_bucket), Growing(file))
    assert len(s3_faults.requests) == before
    assert put(S3Backend(s3_bucket), file).sha256 == file.sha256


def test_a_download_that_ends_before_its_first_part_begins_nothing(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    growing = Growing(file_of(tmp_path, SIZE))
    growing.grow(PART - 1)
    growing.stop()
    with pytest.raises(Stopped):
        ahead(S3Backend(s3_bucket), growing)
    assert s3_faults.count("CreateMultipartUpload") == 0


def test_where_there_are_no_tags_it_does_without_the_hash(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, SIZE)
    for operation in ("GetObjectTagging", "PutObjectTagging"):
        s3_faults.misbehave(operation, Refuse(status=501, code="NotImplemented"))
    growing = Growing(file)
    growing.grow(SIZE)
    ahead(backend, growing)
    assert put(backend, file).sha256 == file.sha256
    assert backend.stat(REPO, PATH).sha256 is None
    assert put(backend, file).sha256 == file.sha256
    assert s3_faults.sent("UploadPart") == SIZE
