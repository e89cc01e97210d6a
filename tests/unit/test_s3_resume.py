"""Uploads to a bucket that were interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest

from storage_app.backends.base import FileToPut
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.s3 import MIB, PART, PATH, REPO, file_of, put, read
from tests.servers.s3_faults import CutUpload, LoseAnswer, Refuse, S3Faults, Slow

KEY = f"{REPO}/{PATH}"
SIZE = 6 * PART + 1000

PUT = """
import json, sys
from pathlib import Path
from storage_app.backends.base import FileToPut
from storage_app.backends.s3 import Bucket, S3Backend

bucket, file = json.loads(sys.argv[1])
bucket["memory_folder"] = Path(bucket["memory_folder"])
file["source"] = Path(file["source"])
S3Backend(Bucket(**bucket)).put([FileToPut(**file)], lambda _: None)
"""


def start(bucket: Bucket, file: FileToPut) -> subprocess.Popen[bytes]:
    """A process that puts this file."""
    settings = {name: value for name, value in asdict(bucket).items() if name != "forget_after"}
    argument = json.dumps([settings, asdict(file)], default=str)
    return subprocess.Popen([sys.executable, "-c", PUT, argument])


def stop_in_the_middle(backend: S3Backend, file: FileToPut, after: int) -> None:
    """Put until so many bytes are sent."""

    def stop(sent: int) -> None:
        if sent >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(backend, file, stop)


def parts_there(backend: S3Backend) -> int:
    """Bytes of the parts of the upload that was begun."""
    upload = backend.uploads.memory.recall(KEY)
    assert upload
    answer = backend.client.call("list_parts", Key=KEY, UploadId=upload.upload_id)
    return sum(part["Size"] for part in answer.get("Parts", ()))


def uploads_begun(backend: S3Backend) -> int:
    return len(backend.client.call("list_multipart_uploads").get("Uploads", ()))


def test_killed_again_and_again_it_sends_only_what_is_missing(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    size = SIZE + 3 * PART
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, size)
    s3_faults.misbehave("UploadPart", Slow(bytes_per_second=2 * MIB))
    # Beyond what four connections have under way, some part must be whole.
    for sent in (4 * PART + MIB, MIB):
        process = start(s3_bucket, file)
        enough, deadline = s3_faults.sent("UploadPart") + sent, time.monotonic() + 60
        while time.monotonic() < deadline and s3_faults.sent("UploadPart") < enough:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        s3_faults.wait_until_quiet()
    s3_faults.misbehave("UploadPart")
    before, there = s3_faults.sent("UploadPart"), parts_there(backend)
    assert PART <= there < size
    assert put(backend, file).sha256 == file.sha256
    assert s3_faults.sent("UploadPart") - before == size - there
    assert read(backend) == file.source.read_bytes()
    assert uploads_begun(backend) == 0
    assert not list(s3_bucket.memory_folder.glob("*.json"))


def test_a_put_that_is_stopped_leaves_no_object_and_goes_on(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, SIZE)
    s3_faults.misbehave("UploadPart", Slow(bytes_per_second=5 * MIB))
    stop_in_the_middle(backend, file, after=4 * PART)
    s3_faults.wait_until_quiet()
    assert list(backend.list()) == []
    s3_faults.misbehave("UploadPart")
    before, there = s3_faults.sent("UploadPart"), parts_there(backend)
    put(backend, file)
    assert s3_faults.sent("UploadPart") - before == SIZE - there
    assert read(backend) == file.source.read_bytes()


def begun(s3_bucket: Bucket, s3_faults: S3Faults, file: FileToPut) -> S3Backend:
    """An upload of which the first half is there."""
    backend = S3Backend(s3_bucket)
    s3_faults.misbehave("UploadPart", CutUpload(skip=3))
    with pytest.raises(Exception, match="broke the connection off"):
        put(backend, file)
    s3_faults.misbehave("UploadPart")
    s3_faults.wait_until_quiet()
    assert parts_there(backend) >= PART
    return backend


def test_an_upload_that_the_account_has_forgotten_begins_anew(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    file = file_of(tmp_path, SIZE)
    backend = begun(s3_bucket, s3_faults, file)
    upload = backend.uploads.memory.recall(KEY)
    assert upload
    backend.client.call("abort_multipart_upload", Key=KEY, UploadId=upload.upload_id)
    assert put(backend, file).sha256 == file.sha256
    assert read(backend) == file.source.read_bytes()


@pytest.mark.parametrize("size", [SIZE, SIZE - 1])
def test_another_file_does_not_go_on_with_it(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, size: int) -> None:
    backend, other = begun(s3_bucket, s3_faults, file_of(tmp_path, SIZE)), file_of(tmp_path, size, seed=2)
    assert put(backend, other).sha256 == other.sha256
    assert read(backend) == other.source.read_bytes()
    assert uploads_begun(backend) == 0


def test_a_part_with_other_bytes_is_sent_again(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    file = file_of(tmp_path, SIZE)
    backend = begun(s3_bucket, s3_faults, file)
    upload = backend.uploads.memory.recall(KEY)
    assert upload
    for number in range(1, 7):
        about = {"Key": KEY, "UploadId": upload.upload_id, "PartNumber": number}
        backend.client.call("upload_part", **about, Body=bytes(PART))
    before = s3_faults.sent("UploadPart")
    put(backend, file)
    # The last and smallest part may have arrived, whole, before the first attempt ended.
    assert s3_faults.sent("UploadPart") - before in {SIZE, SIZE - SIZE % PART}
    assert read(backend) == file.source.read_bytes()


def test_a_lost_answer_to_the_completion_is_no_failure(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, SIZE)
    s3_faults.misbehave("CompleteMultipartUpload", LoseAnswer())
    assert put(backend, file).sha256 == file.sha256
    assert s3_faults.sent("UploadPart") == SIZE
    assert backend.uploads.memory.recall(KEY) is None


def test_a_lost_answer_to_a_single_put_is_no_failure(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, 1000)
    s3_faults.misbehave("PutObject", LoseAnswer(times=1))
    assert put(backend, file).sha256 == file.sha256


def test_two_at_once_end_well(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    file = file_of(tmp_path, SIZE)
    begun(s3_bucket, s3_faults, file)
    processes = [start(s3_bucket, file) for _ in range(2)]
    codes = [process.wait(timeout=120) for process in processes]
    assert 0 in codes
    assert put(S3Backend(s3_bucket), file).sha256 == file.sha256
    assert read(S3Backend(s3_bucket)) == file.source.read_bytes()


def test_memory_that_cannot_be_read_is_as_good_as_none(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    file = file_of(tmp_path, SIZE)
    backend = begun(s3_bucket, s3_faults, file)
    (memory,) = s3_bucket.memory_folder.glob("*.json")
    memory.write_text('{"key": "weaboo')
    assert put(backend, file).sha256 == file.sha256


def test_without_memory_it_is_sent_all_the_same(s3_bucket: Bucket, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    backend, file = S3Backend(replace(s3_bucket, memory_folder=in_the_way)), file_of(tmp_path, SIZE)
    assert put(backend, file).sha256 == file.sha256


def test_an_upload_that_can_not_be_aborted_is_left(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend, other = begun(s3_bucket, s3_faults, file_of(tmp_path, SIZE)), file_of(tmp_path, SIZE, seed=2)
    s3_faults.misbehave("AbortMultipartUpload", Refuse(status=403, code="AccessDenied"))
    assert put(backend, other).sha256 == other.sha256
    assert read(backend) == other.source.read_bytes()


def test_old_uploads_are_aborted_once_a_day(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend = S3Backend(replace(s3_bucket, forget_after=timedelta(0)))
    for key in (KEY, "weaboo-2/x", "somebody-elses"):
        backend.client.call("create_multipart_upload", Key=key)
    put(backend, file_of(tmp_path, PART, path="2/a.mp4"))
    assert uploads_begun(backend) == 1
    backend.client.call("create_multipart_upload", Key=KEY)
    put(backend, file_of(tmp_path, PART, seed=2, path="2/a.mp4"))
    assert uploads_begun(backend) == 2
    (mark,) = s3_bucket.memory_folder.glob("*.housekeeping")
    os.utime(mark, (0, 0))
    put(backend, file_of(tmp_path, PART, seed=3, path="2/a.mp4"))
    assert uploads_begun(backend) == 1


def test_the_upload_in_work_is_not_taken_for_an_old_one(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    file = file_of(tmp_path, SIZE)
    backend = begun(s3_bucket, s3_faults, file)
    there = parts_there(backend)
    (mark,) = s3_bucket.memory_folder.glob("*.housekeeping")
    os.utime(mark, (0, 0))
    before = s3_faults.sent("UploadPart")
    put(backend, file)
    assert s3_faults.sent("UploadPart") - before == SIZE - there
