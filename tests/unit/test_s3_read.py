"""Objects of a bucket that are read, listed, counted, removed and linked to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import requests

from storage_app.backends.base import Capacity, ListedObject, ObjectMissingError
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.rgw import DOMAIN, Rgw
from tests.servers.s3 import PATH, REPO, file_of, new_bucket, put, read


@pytest.fixture
def backend(rgw: Rgw, tmp_path: Path) -> S3Backend:
    return S3Backend(new_bucket(rgw, tmp_path, public_url="https://cdn.example/films/"))


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 1), (10, 20), (999, None), (0, 5000), (1000, None), (7, 7)])
def test_a_part_of_it_can_be_read(backend: S3Backend, tmp_path: Path, start: int, end: int | None) -> None:
    file = file_of(tmp_path, 1000)
    put(backend, file)
    assert read(backend, start=start, end=end) == file.source.read_bytes()[start:end]


def test_a_missing_object_is_said_to_be_missing(backend: S3Backend) -> None:
    for operation in (lambda: backend.stat(REPO, PATH), lambda: read(backend)):
        with pytest.raises(ObjectMissingError):
            operation()


def test_delete_is_harmless_when_there_is_nothing(backend: S3Backend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, 1000))
    backend.delete(REPO, PATH)
    backend.delete(REPO, PATH)
    assert list(backend.list()) == []


def test_a_list_has_every_page_and_only_what_is_ours(backend: S3Backend) -> None:
    ours = [f"weaboo-{number % 2}/{number:03}.mp4" for number in range(120)]
    for key in (*ours, "weaboo/x", "other/x", "weaboo-no-path"):
        backend.client.call("put_object", Key=key, Body=key.encode())
    assert {f"{found.repo}/{found.path}" for found in backend.list()} == set(ours)
    assert len(list(backend.list("weaboo-1"))) == 60
    assert next(backend.list("weaboo-0")) == ListedObject(
        "weaboo-0", "000.mp4", 16, etag=backend.stat("weaboo-0", "000.mp4").etag
    )


def test_capacity_counts_the_whole_bucket(backend: S3Backend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, 1000))
    backend.client.call("put_object", Key="other/x", Body=bytes(500))
    assert backend.capacity() == Capacity(1500, None, 2)


def test_a_public_bucket_has_direct_urls(backend: S3Backend) -> None:
    assert backend.direct_url(REPO, "1/a b.mp4") == "https://cdn.example/films/weaboo-1/1/a%20b.mp4"
    assert S3Backend(replace(backend.bucket, public_url="")).direct_url(REPO, PATH) is None


def test_a_signed_url_opens_that_object_alone_and_for_a_time(backend: S3Backend, tmp_path: Path) -> None:
    file = file_of(tmp_path, 1000)
    put(backend, file)
    url = backend.presigned_url(REPO, PATH, 60)
    answer = requests.get(url, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (answer.status_code, answer.content) == (206, file.source.read_bytes()[10:20])
    assert requests.get(url.replace("a.mp4", "b.mp4"), timeout=10).status_code == 403
    assert requests.get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"), timeout=10).status_code == 403
    assert backend.bucket.secret_key not in url


def test_a_bucket_can_be_named_in_the_host(rgw: Rgw, tmp_path: Path) -> None:
    bucket = new_bucket(rgw, tmp_path)
    file = file_of(tmp_path, 1000)
    put(S3Backend(bucket), file)
    virtual = S3Backend(replace(bucket, endpoint=f"http://{DOMAIN}:{rgw.port}", addressing="virtual"))
    host = f"{bucket.bucket}.{DOMAIN}:{rgw.port}"
    url = virtual.presigned_url(REPO, PATH, 60)
    assert url.startswith(f"http://{host}/{REPO}/")
    answer = requests.get(url.replace(host, f"127.0.0.1:{rgw.port}"), headers={"Host": host}, timeout=10)
    assert answer.content == file.source.read_bytes()


@pytest.mark.parametrize(
    ("endpoint", "addressing", "begins"),
    [
        ("", "auto", "https://films.s3.eu-west-1.amazonaws.com/weaboo-1/"),
        ("", "path", "https://s3.eu-west-1.amazonaws.com/films/weaboo-1/"),
        ("https://s3.example.com", "auto", "https://s3.example.com/films/weaboo-1/"),
        ("https://s3.example.com", "virtual", "https://films.s3.example.com/weaboo-1/"),
        ("https://oss-eu.aliyuncs.com", "auto", "https://films.oss-eu.aliyuncs.com/weaboo-1/"),
    ],
)
def test_the_bucket_is_named_as_the_endpoint_needs_it(
    tmp_path: Path, endpoint: str, addressing: str, begins: str
) -> None:
    bucket = Bucket(endpoint, "films", "eu-west-1", "key", "secret", addressing, "", "", "weaboo", 5, tmp_path)
    assert S3Backend(bucket).presigned_url(REPO, PATH, 60).startswith(begins)
