"""A bucket of an S3-compatible service as a storage account."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from storage_app.backends.base import (
    Backend,
    Capacity,
    ContentMismatchError,
    FileToPut,
    GrowingFile,
    ListedObject,
    ObjectMissingError,
    Progress,
    SignedUrl,
    StorageError,
    StoredObject,
)
from storage_app.backends.s3_client import Bucket, Client
from storage_app.backends.s3_copy import Copies
from storage_app.backends.s3_objects import TAIL, Objects
from storage_app.backends.s3_sending import Meter, Source
from storage_app.backends.s3_upload import Uploads

__all__ = ["Bucket", "S3Backend"]

SIGNED_SECONDS = 3600
"""For which a URL that is made for viewers is good."""


class S3Backend:
    """Objects with the key `<repo>/<path>`, their sha256 in their metadata (or, sent ahead, in a tag)."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.client = Client(bucket)
        self.objects = Objects(self.client)
        self.uploads = Uploads(self.client)

    def put(self, files: Sequence[FileToPut], progress: Progress) -> list[StoredObject]:
        """See Backend.put."""
        stored, before = [], 0
        for file in files:
            stored.append(self._put(file, Meter(progress, before)))
            before += file.size
            progress(before)
        return stored

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None:
        """See Backend.send_ahead. Files below the size of a part have to wait for `put`."""
        self.uploads.send_ahead(file, key_of(repo, path), _content_type(path))

    def drop_ahead(self, repo: str, path: str) -> None:
        """See Backend.drop_ahead."""
        self.uploads.forget(key_of(repo, path))

    def copy_from(self, other: Backend, file: FileToPut) -> StoredObject | None:
        """See Backend.copy_from. Within one service, from a bucket that our key may read."""
        if not isinstance(other, S3Backend) or other.bucket.endpoint.rstrip("/") != self.bucket.endpoint.rstrip("/"):
            return None
        return Copies(self.objects, self.uploads).copy(other.bucket, key_of(file.repo, file.path), file)

    def stat(self, repo: str, path: str) -> StoredObject:
        """See Backend.stat."""
        return self.objects.stat(key_of(repo, path))

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See Backend.open. Raises ContentMismatchError when the object is replaced in the middle."""
        return self.objects.read(key_of(repo, path), start, end)

    def delete(self, repo: str, path: str) -> None:
        """See Backend.delete."""
        try:
            self.client.call("delete_object", Key=key_of(repo, path))
        except ObjectMissingError:  # some services say so, Amazon doesn't
            self.objects.check_bucket()

    def list(self, repo: str | None = None) -> Iterator[ListedObject]:
        """See Backend.list."""
        prefix = f"{self.bucket.prefix}-" if repo is None else f"{repo}/"
        for found in self.objects.listed(prefix):
            name, slash, path = found["Key"].partition("/")
            if slash and path:
                yield ListedObject(name, path, found["Size"], etag=found["ETag"].strip('"'))

    def capacity(self) -> Capacity:
        """See Backend.capacity: what lies in the whole bucket, ours or not. S3 has no way to ask how much is free."""
        used = files = 0
        for found in self.objects.listed(""):
            used, files = used + found["Size"], files + 1
        return Capacity(used, None, files)

    def direct_url(self, repo: str, path: str) -> str | None:
        """See Backend.direct_url: below the account's public URL."""
        base = self.bucket.public_url.rstrip("/")
        return f"{base}/{quote(key_of(repo, path))}" if base else None

    def presigned_url(self, repo: str, path: str, seconds: int) -> str:
        """A URL at which anybody may GET the object for so many seconds (a week at most)."""
        what = {"Bucket": self.bucket.bucket, "Key": key_of(repo, path)}
        sign = self.client.boto.generate_presigned_url
        return str(self.client.guarded(sign, "get_object", Params=what, ExpiresIn=seconds))

    def signed_url(self, repo: str, path: str) -> SignedUrl:
        """See RemoteBackend.signed_url. Made here, so nothing is known yet of the object."""
        until = time.time() + SIGNED_SECONDS
        return SignedUrl(self.presigned_url(repo, path, SIGNED_SECONDS), until)

    def _put(self, file: FileToPut, meter: Meter) -> StoredObject:
        key = key_of(file.repo, file.path)
        with Source.opened(file.source) as source:
            if source.size() != file.size:
                raise ContentMismatchError(f"{file.source.name} does not have its {file.size} bytes any more.")
            etag = self._etag_if_there(source, key, file, meter)
            if etag is None:
                etag = self.uploads.send(source, key, file, meter)
            tail = source.tail(file.size, TAIL)
            return self.objects.prove(key, file.size, etag, file.sha256, tail)

    def _etag_if_there(self, source: Source, key: str, file: FileToPut, meter: Meter) -> str | None:
        """Of the same content, when that lies there already; None when something else does, or nothing."""
        try:
            head = self.objects.head(key)
        except ObjectMissingError:
            return None
        if head["ContentLength"] != file.size or self.objects.sha256(key, head) not in {None, file.sha256}:
            return None
        expected = self.uploads.expected_etag(source, file.size, meter)
        return head["ETag"] if self.objects.holds(key, head, expected, file.sha256) else None


def key_of(repo: str, path: str) -> str:
    """The object's key. Raises StorageError for a name that would mean something else in a URL."""
    parts = [repo, *path.split("/")]
    if any(part in {"", ".", ".."} or "\0" in part for part in parts) or "/" in repo:
        raise StorageError(f"Not a path inside a storage account: {repo}/{path}")
    return f"{repo}/{path}"


def _content_type(path: str) -> str:
    return "video/mp4" if path.endswith(".mp4") else "application/octet-stream"
