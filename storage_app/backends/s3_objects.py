"""Stored objects: what a bucket says of them, their bytes, and the proof that they are what they should be."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from storage_app.backends.base import (
    ContentMismatchError,
    ObjectMissingError,
    StorageAuthError,
    StorageError,
    StorageUnavailableError,
    StoredObject,
)
from storage_app.backends.s3_client import Client
from storage_app.backends.s3_errors import RangeError, UnsupportedError, not_s3

log = logging.getLogger(__name__)

CHUNK = 1024 * 1024
TAIL = 64 * 1024
BREAKS = 3
"""In a row, without a byte between them, before a download is given up."""
MD5_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")
TAG = "sha256"


class Objects:
    """The objects of the client's bucket by key, or of another one as far as the client's key may read that."""

    def __init__(self, client: Client, bucket: str = "") -> None:
        self.client = client
        self._where = {"Bucket": bucket or client.bucket.bucket}

    def head(self, key: str) -> dict[str, Any]:
        """What HEAD answers, `ETag` without its quotes. Raises ObjectMissingError."""
        answer = self.client.call("head_object", Key=key, **self._where)
        if "ETag" not in answer:
            raise not_s3(str(self.client.bucket))
        return {**answer, "ETag": answer["ETag"].strip('"')}

    def listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        """What ListObjectsV2 says of every key with this prefix."""
        for page in self.client.pages("list_objects_v2", Prefix=prefix):
            if "IsTruncated" not in page:
                raise not_s3(str(self.client.bucket))
            yield from page.get("Contents", ())

    def stat(self, key: str) -> StoredObject:
        """As Backend.stat. A bucket that is missing isn't taken for a missing object."""
        try:
            head = self.head(key)
        except ObjectMissingError:
            self.check_bucket()
            raise
        return StoredObject(head["ContentLength"], self.sha256(key, head), head["ETag"])

    def check_bucket(self) -> None:
        """Raises StorageUnavailableError when the bucket isn't there."""
        try:
            self.client.call("head_bucket", **self._where)
        except ObjectMissingError as error:
            bucket = self.client.bucket
            text = f"{bucket}: the bucket does not exist. `manage.py ensure_bucket` creates it."
            raise StorageUnavailableError(text) from error

    def sha256(self, key: str, head: dict[str, Any]) -> str | None:
        """What its metadata says, or the tag of an object that was sent before its hash was known."""
        kept = head["Metadata"].get(TAG)
        if kept or not head["ETag"].partition("-")[2]:
            return kept or None
        try:
            answer = self.client.call("get_object_tagging", Key=key, **self._where)
        except (UnsupportedError, StorageAuthError):
            return None
        return next((tag["Value"] for tag in answer["TagSet"] if tag["Key"] == TAG), None)

    def mark(self, key: str, sha256: str) -> None:
        """Tag an object with its hash. Where the service has no tags, it does without."""
        tags = {"TagSet": [{"Key": TAG, "Value": sha256}]}
        try:
            self.client.call("put_object_tagging", Key=key, Tagging=tags, **self._where)
        except (UnsupportedError, StorageAuthError) as error:
            log.info("The hash of %s can't be kept beside it: %s", key, error)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """As Backend.open: goes on at the same byte when a connection breaks. Raises ContentMismatchError when the
        object is replaced in the middle."""
        position, etag, breaks, over = start, "", 0, False
        while not over and (end is None or position < end):
            before = position
            try:
                answer = self._get(key, position, end, etag)
                etag = answer["ETag"] if answer else etag
                for chunk in self._chunks(answer["Body"]) if answer else ():
                    position += len(chunk)
                    yield chunk
                over = True
            except StorageUnavailableError as error:
                breaks = 1 if position > before else breaks + 1
                if isinstance(error, ContentMismatchError) or breaks == BREAKS:
                    raise
                log.info("%s broke off at byte %d; it goes on there. %s", key, position, error)

    def prove(self, key: str, size: int, etag: str, sha256: str, tail: bytes) -> StoredObject:
        """That an object is what it should be, by the account's own hash and its tail. Where the account has no hash
        that can be compared, all of it is read back. Raises ContentMismatchError."""
        head = self.head(key)
        if head["ContentLength"] != size:
            raise ContentMismatchError(f"{key} has {head['ContentLength']} bytes on the account instead of {size}.")
        if head["ETag"] != etag and self._read_back(key, head["ETag"]) != sha256:
            raise ContentMismatchError(f"{key} does not have its sha256 on the account.")
        self.check_tail(key, size, tail)
        if self.sha256(key, head) != sha256:
            self.mark(key, sha256)
        return StoredObject(size, sha256, head["ETag"])

    def holds(self, key: str, head: dict[str, Any], etag: str, sha256: str) -> bool:
        """Whether an object of the right size is known to have this content already."""
        if head["ETag"] == etag:
            return True
        encrypted = str(head.get("ServerSideEncryption", "")).startswith("aws:kms")
        if MD5_ETAG.fullmatch(head["ETag"]) and not encrypted:
            return False
        return head["Metadata"].get(TAG) == sha256 and self._read_back(key, head["ETag"]) == sha256

    def check_tail(self, key: str, size: int, tail: bytes) -> None:
        """Raises ContentMismatchError when the last bytes are others."""
        if b"".join(self.read(key, size - len(tail), size)) != tail:
            raise ContentMismatchError(f"The end of {key} reads back differently from what was sent.")

    def _read_back(self, key: str, etag: str) -> str:
        log.info("The account's mark of %s (%s) can't be compared; all of it is read back.", key, etag)
        digest = hashlib.sha256()
        for chunk in self.read(key):
            digest.update(chunk)
        return digest.hexdigest()

    def _get(self, key: str, start: int, end: int | None, etag: str) -> dict[str, Any] | None:
        """An answer whose body begins at `start`; None when there is nothing from there on."""
        arguments = {"Key": key, **self._where, **({"IfMatch": etag} if etag else {})}
        if start or end is not None:
            arguments["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            answer = self.client.call("get_object", **arguments)
        except RangeError:
            return None
        if start and not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
            answer["Body"].close()
            raise StorageError(f"{self.client.bucket} does not answer with the bytes that were asked for.")
        return answer

    def _chunks(self, body: Any) -> Iterator[bytes]:
        with closing(body):
            while chunk := self.client.guarded(body.read, CHUNK):
                yield chunk
