"""Everything that an S3 service can do wrong ends in the right class, with nothing lost."""

from __future__ import annotations

import http.client
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from storage_app.backends.base import (
    ContentMismatchError,
    FileTooLargeError,
    ObjectMissingError,
    StorageAuthError,
    StorageError,
    StorageFullError,
    StorageRateError,
    StorageUnavailableError,
)
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.raw import RawServer, answering
from tests.servers.rgw import Rgw
from tests.servers.s3 import PART, PATH, REPO, file_of, new_bucket, put, read
from tests.servers.s3_faults import AnswerHeaders, Cut, CutUpload, Flip, FlipUpload, Refuse, S3Faults, StallUpload

SIZE = 3 * PART + 1000

REFUSALS = [
    (403, "AccessDenied", StorageAuthError),
    (403, "InvalidAccessKeyId", StorageAuthError),
    (403, "SignatureDoesNotMatch", StorageAuthError),
    (400, "ExpiredToken", StorageAuthError),
    (400, "AuthorizationHeaderMalformed", StorageAuthError),
    (403, "QuotaExceeded", StorageFullError),
    (400, "EntityTooLarge", FileTooLargeError),
    (413, "", FileTooLargeError),
    (507, "InsufficientStorage", StorageFullError),
    (507, "XMinioStorageFull", StorageFullError),
    (503, "SlowDown", StorageRateError),
    (429, "TooManyRequests", StorageRateError),
    (429, "", StorageRateError),
    (500, "InternalError", StorageUnavailableError),
    (502, "", StorageUnavailableError),
    (503, "ServiceUnavailable", StorageUnavailableError),
    (409, "OperationAborted", StorageUnavailableError),
    (404, "NoSuchBucket", StorageUnavailableError),
    (400, "BadDigest", ContentMismatchError),
    (403, "RequestTimeTooSkewed", StorageUnavailableError),
    (400, "InvalidArgument", StorageError),
]


@pytest.mark.parametrize(("status", "code", "kind"), REFUSALS)
def test_a_refusal_has_its_class(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, status: int, code: str, kind: type[StorageError]
) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, 1000)
    s3_faults.misbehave("PutObject", Refuse(status=status, code=code))
    with pytest.raises(StorageError) as caught:
        put(backend, file)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"Bucket {s3_bucket.bucket} at 127.0.0.1:")
    assert s3_faults.count("PutObject") <= 3
    s3_faults.misbehave("PutObject")
    assert put(backend, file).sha256 == file.sha256


@pytest.mark.parametrize(("said", "seconds"), [("17", 17), ("Fri, 01 Jan 1999 00:00:00 GMT", 0), ("soon", None)])
def test_how_long_to_wait_is_passed_on(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, said: str, seconds: float | None
) -> None:
    refusal = Refuse(status=429, code="SlowDown", headers={"Retry-After": said})
    s3_faults.misbehave("PutObject", refusal)
    with pytest.raises(StorageRateError) as caught:
        put(S3Backend(s3_bucket), file_of(tmp_path, 1000))
    assert caught.value.retry_after == seconds


def test_a_secret_is_in_no_message(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    told = f"You said {s3_bucket.secret_key} and {s3_bucket.access_key}"
    s3_faults.misbehave("PutObject", Refuse(status=400, code="Strange", message=told))
    with pytest.raises(StorageError, match="You said … and …"):
        put(S3Backend(s3_bucket), file_of(tmp_path, 1000))
    assert s3_bucket.secret_key not in repr(s3_bucket)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_what_passes_by_itself_is_tried_again(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, operation: str
) -> None:
    s3_faults.misbehave(operation, Refuse(status=500, code="InternalError", times=1))
    file = file_of(tmp_path, SIZE)
    assert put(S3Backend(s3_bucket), file).sha256 == file.sha256


def test_a_connection_that_breaks_in_a_part_costs_that_part(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    s3_faults.misbehave("UploadPart", CutUpload(after=PART // 2, times=1))
    file = file_of(tmp_path, SIZE)
    assert put(S3Backend(s3_bucket), file).sha256 == file.sha256
    assert s3_faults.sent("UploadPart") <= SIZE + PART // 2 + 64 * 1024


@pytest.mark.parametrize(("size", "operation"), [(1000, "PutObject"), (SIZE, "UploadPart")])
def test_a_byte_that_changes_on_the_way_is_noticed_by_the_server(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path, size: int, operation: str
) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, size)
    s3_faults.misbehave(operation, FlipUpload(at=500, times=1))
    assert put(backend, file).sha256 == file.sha256
    assert read(backend) == file.source.read_bytes()


def test_a_line_that_changes_every_upload_ends_in_a_mismatch(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    backend = S3Backend(s3_bucket)
    s3_faults.misbehave("UploadPart", FlipUpload(at=500))
    with pytest.raises(ContentMismatchError, match="BadDigest"):
        put(backend, file_of(tmp_path, SIZE))
    with pytest.raises(ObjectMissingError):
        backend.stat(REPO, PATH)


def test_a_tail_that_reads_back_differently_is_a_mismatch(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    s3_faults.misbehave("GetObject", Flip(at=0))
    with pytest.raises(ContentMismatchError, match="reads back differently"):
        put(S3Backend(s3_bucket), file_of(tmp_path, SIZE))


def test_a_quota_that_is_hit_in_the_middle_keeps_what_is_there(rgw: Rgw, s3_faults: S3Faults, tmp_path: Path) -> None:
    uid = f"limited{s3_faults.endpoint.rpartition(':')[2]}"
    rgw.new_user(uid, uid, "limited-secret")
    bucket = new_bucket(rgw, tmp_path, s3_faults.endpoint, access_key=uid, secret_key="limited-secret")
    rgw.limit(uid, 2 * PART)
    backend, file = S3Backend(bucket), file_of(tmp_path, 8 * PART)
    with pytest.raises(StorageFullError, match="no room left"):
        put(backend, file)
    sent = s3_faults.sent("UploadPart")
    rgw.limit(uid, 20 * PART)
    assert put(backend, file).sha256 == file.sha256
    assert s3_faults.sent("UploadPart") - sent < file.size


def test_a_service_that_falls_silent_is_left_after_the_timeout(rgw: Rgw, s3_faults: S3Faults, tmp_path: Path) -> None:
    bucket = new_bucket(rgw, tmp_path, s3_faults.endpoint, timeout=0.5)
    s3_faults.misbehave("UploadPart", StallUpload(after=1000))
    with pytest.raises(StorageUnavailableError):
        put(S3Backend(bucket), file_of(tmp_path, SIZE))


def test_a_key_of_somebody_else_is_refused(rgw: Rgw, s3_bucket: Bucket, tmp_path: Path) -> None:
    wrong = replace(s3_bucket, secret_key="not-the-secret")
    with pytest.raises(StorageAuthError, match="Check the key"):
        S3Backend(wrong).stat(REPO, PATH)
    with pytest.raises(StorageAuthError, match="Check the key"):
        put(S3Backend(wrong), file_of(tmp_path, 1))
    with pytest.raises(StorageAuthError, match="no access key"):
        S3Backend(replace(s3_bucket, access_key="")).stat(REPO, PATH)


def test_a_clock_that_differs_is_named_even_without_a_body(s3_bucket: Bucket, s3_faults: S3Faults) -> None:
    long_ago = {"Date": "Fri, 01 Jan 1999 00:00:00 GMT"}
    s3_faults.misbehave("HeadObject", Refuse(status=403, headers=long_ago))
    with pytest.raises(StorageUnavailableError, match="clock"):
        S3Backend(s3_bucket).stat(REPO, PATH)


def test_a_missing_bucket_is_not_a_missing_object(s3_bucket: Bucket) -> None:
    backend = S3Backend(replace(s3_bucket, bucket="there-is-none"))
    operations = (
        lambda: backend.stat(REPO, PATH),
        lambda: read(backend),
        lambda: list(backend.list()),
        lambda: backend.delete(REPO, PATH),
        backend.capacity,
    )
    for operation in operations:
        with pytest.raises(StorageUnavailableError, match="ensure_bucket"):
            operation()


def test_nobody_at_the_endpoint_is_unavailable(s3_bucket: Bucket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    backend = S3Backend(replace(s3_bucket, endpoint=f"http://127.0.0.1:{port}"))
    with pytest.raises(StorageUnavailableError, match="can't be reached"):
        backend.stat(REPO, PATH)


PAGES = {
    "a page": b"<html><body>Log in</body></html>",
    "broken XML": b"<html><body>Log in",
    "nothing": b"",
}


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found"])
@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_s3_is_not_taken_for_an_empty_account(s3_bucket: Bucket, page: str, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(PAGES[page])}\r\nConnection: close\r\n\r\n"

    def talk(connection: socket.socket) -> None:
        answering(head.encode(), PAGES[page])(server)(connection)

    with RawServer(talk) as server:
        backend = S3Backend(replace(s3_bucket, endpoint=server.url("")))
        for operation in (lambda: list(backend.list()), backend.capacity, lambda: backend.stat(REPO, PATH)):
            with pytest.raises(StorageError) as caught:
                operation()
            assert not isinstance(caught.value, ObjectMissingError)


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "http://[::1"])
def test_an_endpoint_that_is_no_url_is_named(s3_bucket: Bucket, endpoint: str) -> None:
    with pytest.raises(StorageError):
        S3Backend(replace(s3_bucket, endpoint=endpoint)).stat(REPO, PATH)


def test_a_download_goes_on_at_the_same_byte(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend, file = S3Backend(s3_bucket), file_of(tmp_path, SIZE)
    put(backend, file)
    s3_faults.misbehave("GetObject", Cut(after=PART, times=3))
    assert read(backend) == file.source.read_bytes()
    ranges = [request.headers.get("Range", "") for request in s3_faults.requests if request.operation == "GetObject"]
    assert all(re.fullmatch(r"bytes=\d+-", asked) for asked in ranges[-3:])


def test_a_download_without_a_byte_is_given_up(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend = S3Backend(s3_bucket)
    put(backend, file_of(tmp_path, 1000))
    s3_faults.misbehave("GetObject", Cut(after=0))
    with pytest.raises(StorageUnavailableError):
        read(backend)


def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed(
    s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path
) -> None:
    backend = S3Backend(s3_bucket)
    put(backend, file_of(tmp_path, SIZE))
    s3_faults.misbehave("GetObject", Cut(after=PART, times=1))
    reading = backend.open(REPO, PATH)
    next(reading)
    put(backend, file_of(tmp_path, SIZE, seed=2))
    with pytest.raises(ContentMismatchError, match="replaced"):
        list(reading)


def test_a_service_that_ignores_ranges_is_found_out(s3_bucket: Bucket, s3_faults: S3Faults, tmp_path: Path) -> None:
    backend = S3Backend(s3_bucket)
    put(backend, file_of(tmp_path, 1000))
    s3_faults.misbehave("GetObject", AnswerHeaders(headers={"Content-Range": "bytes 0-9/1000"}))
    with pytest.raises(StorageError, match="bytes that were asked for"):
        read(backend, start=10)


def test_the_proxy_itself_is_faithful(s3_bucket: Bucket, s3_faults: S3Faults) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(s3_faults.endpoint.rpartition(":")[2]), timeout=10)
    connection.request("GET", f"/{s3_bucket.bucket}/x")
    assert connection.getresponse().status == 403
    connection.close()
