"""Copies of an object that the service makes itself, from another bucket of the same service."""

from __future__ import annotations

import logging
from typing import Any

from storage_app.backends.base import (
    FileToPut,
    ObjectMissingError,
    StorageAuthError,
    StorageError,
    StoredObject,
)
from storage_app.backends.s3_client import Bucket
from storage_app.backends.s3_errors import UnsupportedError
from storage_app.backends.s3_objects import TAIL, Objects
from storage_app.backends.s3_sending import senders
from storage_app.backends.s3_upload import Uploads, part_bytes, parts_of

log = logging.getLogger(__name__)

MOST_BYTES = 5 * 1024**3
"""Of a single CopyObject."""


class Copies:
    """Copies into one bucket."""

    def __init__(self, objects: Objects, uploads: Uploads) -> None:
        self._objects, self._uploads = objects, uploads
        self._client = objects.client

    def copy(self, source: Bucket, key: str, file: FileToPut) -> StoredObject | None:
        """From the same key of that bucket; None when our key may not read it, or it holds something else."""
        there = Objects(self._client, source.bucket)
        try:
            head = there.head(key)
            if head["ContentLength"] != file.size or there.sha256(key, head) != file.sha256:
                return None
            self._make(source, key, file, head["ETag"])
            tail = b"".join(there.read(key, max(0, file.size - TAIL), file.size))
        except (ObjectMissingError, StorageAuthError, UnsupportedError) as error:
            log.info("%s can't be copied by the service itself: %s", key, error)
            return None
        return self._objects.prove(key, file.size, head["ETag"], file.sha256, tail)

    def _make(self, source: Bucket, key: str, file: FileToPut, etag: str) -> None:
        """So that it gets the same ETag: in parts like those that the source was put together from."""
        where = {"Key": key, "CopySource": {"Bucket": source.bucket, "Key": key}, "CopySourceIfMatch": etag}
        about = {"Metadata": {"sha256": file.sha256}, "ContentType": file.content_type}
        about |= self._client.bucket.encrypted
        if "-" in etag or file.size > MOST_BYTES:
            self._make_of_parts(where, about, file.size)
        else:
            self._client.call("copy_object", **where, **about, MetadataDirective="REPLACE")

    def _make_of_parts(self, where: dict[str, Any], about: dict[str, Any], size: int) -> None:
        key = where["Key"]
        upload_id = self._client.call("create_multipart_upload", Key=key, **about)["UploadId"]

        def make(part: tuple[int, int, int]) -> dict[str, Any]:
            number, start, length = part
            which = {"PartNumber": number, "CopySourceRange": f"bytes={start}-{start + length - 1}"}
            made = self._client.call("upload_part_copy", UploadId=upload_id, **where, **which)
            return {"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]}

        try:
            with senders() as pool:
                made = list(pool.map(make, parts_of(size, part_bytes(size, self._client.bucket.part_bytes))))
            self._client.call("complete_multipart_upload", Key=key, UploadId=upload_id, MultipartUpload={"Parts": made})
        except StorageError:
            self._uploads.abort(key, upload_id)
            raise
