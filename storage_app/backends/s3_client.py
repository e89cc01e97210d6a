"""One bucket, and the unmodified boto3 client that speaks to it."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from storage_app.backends.base import StorageAuthError, StorageError
from storage_app.backends.s3_errors import storage_error

MIB = 1024 * 1024
CONNECTIONS = 10
ATTEMPTS = 3
VIRTUAL_ONLY = ("aliyuncs.com", "myqcloud.com", "volces.com")
"""Services that want the bucket in the host name. Every other one with an endpoint of its own takes it in the path."""

_making = threading.Lock()
"""A boto3 session makes one client at a time."""


@dataclass(frozen=True)
class Bucket:
    """Where to store, in plain values. `timeout` in seconds, for every wait on the network.

    `endpoint` is empty for Amazon; `addressing` is auto, path or virtual; `encryption` is empty, AES256, aws:kms or
    aws:kms:<id of the key>. Names of repositories begin with `prefix` and a hyphen. What was begun is remembered in
    `memory_folder`, and forgotten after `forget_after`. Files from `part_bytes` on are sent in parts of that size.
    A request is tried `attempts` times.
    """

    endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    addressing: str
    encryption: str
    public_url: str
    prefix: str
    timeout: float
    memory_folder: Path
    part_bytes: int = 64 * MIB
    forget_after: timedelta = timedelta(days=7)
    attempts: int = ATTEMPTS

    def __str__(self) -> str:
        host = self.endpoint.rpartition("//")[2].partition("/")[0].rpartition("@")[2]
        return f"Bucket {self.bucket} at {host or 'Amazon S3'}"

    @property
    def encrypted(self) -> dict[str, str]:
        """Arguments of a request that stores an object."""
        method, colon, key = self.encryption, "", ""
        if self.encryption.startswith("aws:kms:"):
            method, colon, key = "aws:kms", ":", self.encryption.removeprefix("aws:kms:")
        arguments = {"ServerSideEncryption": method} if method else {}
        return {**arguments, "SSEKMSKeyId": key} if colon else arguments


class Client:
    """Calls operations on a bucket; whatever goes wrong comes out as a StorageError."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The answer. `operation` and `arguments` are boto3's; Bucket is this one's unless it is given."""
        arguments.setdefault("Bucket", self.bucket.bucket)
        answer: dict[str, Any] = self.guarded(getattr(self.boto, operation), **arguments)
        return answer

    def pages(self, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """All pages of a list."""
        paginator = self.boto.get_paginator(operation)
        pages = iter(paginator.paginate(Bucket=self.bucket.bucket, **arguments))
        while page := self.guarded(next, pages, None):
            yield page

    def guarded(self, function: Any, *positional: Any, **arguments: Any) -> Any:
        """What it returns; boto3's exceptions translated, and those that pass through it in the middle of a body."""
        try:
            return function(*positional, **arguments)
        except (ClientError, BotoCoreError, ResponseParserError, HTTPError) as error:
            raise storage_error(error, str(self.bucket), self._secrets) from error

    @property
    def boto(self) -> Any:
        """The boto3 client; made once for a bucket and process. Raises StorageError when it can't be made."""
        if not self.bucket.access_key or not self.bucket.secret_key:
            raise StorageAuthError(f"{self.bucket} has no access key or no secret key. Enter both at the account.")
        try:
            return _client(self.bucket, os.getpid())
        except ValueError as error:
            raise StorageError(f"{self.bucket}: its endpoint is not a URL. Correct it at the account.") from error
        except BotoCoreError as error:
            raise storage_error(error, str(self.bucket), self._secrets) from error

    @property
    def _secrets(self) -> tuple[str, str]:
        return self.bucket.access_key, self.bucket.secret_key


@functools.cache
def _session() -> Any:
    """Keeps the description of S3, which takes long to read; no keys."""
    return boto3.session.Session()


@functools.lru_cache(maxsize=32)
def _client(bucket: Bucket, _pid: int) -> Any:
    """Connections must not be shared over a fork, hence the process id."""
    config = Config(
        signature_version="s3v4",
        connect_timeout=bucket.timeout,
        read_timeout=bucket.timeout,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        retries={"total_max_attempts": bucket.attempts, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        s3={"addressing_style": _addressing(bucket)},
    )
    with _making:
        client = _session().client(
            "s3",
            endpoint_url=bucket.endpoint or None,
            region_name=bucket.region or "us-east-1",
            aws_access_key_id=bucket.access_key,
            aws_secret_access_key=bucket.secret_key,
            config=config,
        )
    unhashed = config.merge(Config(s3={"addressing_style": _addressing(bucket), "payload_signing_enabled": False}))
    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register(f"before-sign.s3.{operation}", functools.partial(_sign_only_md5, unhashed))
    if bucket.endpoint:
        client.meta.events.register_last("before-parameter-build.s3", _stay_at_the_endpoint)
    return client


def _stay_at_the_endpoint(context: dict[str, Any], **_: Any) -> None:
    """Buckets in other regions are Amazon's. Elsewhere boto3 would follow a redirection to nowhere until its stack is
    full."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _sign_only_md5(unhashed: Config, request: Any, **_: Any) -> None:
    """A body whose Content-MD5 is in the signed headers needs no sha256 of its own over plain HTTP either."""
    if "Content-MD5" in request.headers:
        request.context["client_config"] = unhashed


def _addressing(bucket: Bucket) -> str:
    if bucket.addressing != "auto":
        return bucket.addressing
    if not bucket.endpoint:
        return "path" if "." in bucket.bucket else "virtual"  # Amazon's certificate covers one label
    host = urlsplit(bucket.endpoint).hostname or ""
    return "virtual" if host.endswith(VIRTUAL_ONLY) else "path"
