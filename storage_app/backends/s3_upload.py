"""Sends a file to a bucket, in one piece or in parts, and goes on where an earlier process was killed.

A part is sent with its MD5, which the service verifies. The md5 sums also tell the ETag that the object must get:
that of its bytes, or of its parts' md5 sums with their number (AWS: "Checking object integrity").
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from storage_app.backends.base import (
    ContentMismatchError,
    FileToPut,
    GrowingFile,
    ObjectMissingError,
    StorageError,
)
from storage_app.backends.s3_client import MIB, Client
from storage_app.backends.s3_errors import UploadGoneError
from storage_app.backends.s3_memory import Memory, Upload
from storage_app.backends.s3_sending import AT_ONCE, Meter, Slice, Source, senders

log = logging.getLogger(__name__)

MOST_PARTS = 10_000
TRIES = 3
"""For a part of which the service says that it arrived damaged."""
WAIT = 0.5
"""Seconds between two looks at whether an upload that runs ahead is still wanted."""

GONE = (UploadGoneError, ObjectMissingError)
"""How an account says that it doesn't know an upload; the latter is Ceph's way."""

Parts = Sequence[tuple[int, int, int]]
"""Number, start and length of each."""

Listed = dict[int, tuple[str, int]]
"""ETag and size by number of the parts that the account holds."""


def part_bytes(size: int, smallest: int) -> int:
    """The size of the parts of a file of that size: MiB, and at most 10 000 of them."""
    return max(smallest, -(-size // (MOST_PARTS * MIB)) * MIB)


def parts_of(size: int, each: int) -> Parts:
    """All parts of a file of that size."""
    starts = range(0, size, each)
    return [(number, start, min(each, size - start)) for number, start in enumerate(starts, 1)]


def etag_of_parts(md5s: Sequence[bytes]) -> str:
    """What the object gets that is put together from parts with these md5 sums."""
    whole = hashlib.md5(b"".join(md5s), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(md5s)}"


class Uploads:
    """The uploads to one bucket."""

    def __init__(self, client: Client) -> None:
        self.client, self.bucket = client, client.bucket
        self.memory = Memory(self.bucket.memory_folder, self.bucket.endpoint, self.bucket.bucket)
        self._remembering = threading.Lock()

    def in_parts(self, size: int) -> bool:
        """Whether a file of that size is sent in parts."""
        return size >= self.bucket.part_bytes

    def expected_etag(self, source: Source, size: int, meter: Meter) -> str:
        """What a file of that size must have once we have sent it. Reads it all, sends nothing."""
        if not self.in_parts(size):
            return source.md5(0, size).hex()
        with senders() as pool:
            parts = parts_of(size, part_bytes(size, self.bucket.part_bytes))
            futures = [pool.submit(source.md5, start, length) for _, start, length in parts]
            return etag_of_parts(meter.results(futures))

    def send(self, source: Source, key: str, file: FileToPut, meter: Meter) -> str:
        """Send what of it isn't there yet; the ETag that the object must have."""
        if not self.in_parts(file.size):
            return self._send_whole(source, key, file, meter)
        self._clear_up_now_and_then()
        upload = self.memory.recall(key)
        if upload and not upload.suits(file.size, file.sha256):
            self._give_up(upload)
            upload = None
        there = self._listed(upload) if upload else None
        if upload is None or there is None:
            upload, there = self._begin(key, file.size, file.sha256, file.content_type), {}
        return self._send_rest(source, upload, there, meter)

    def send_ahead(self, file: GrowingFile, key: str, content_type: str) -> None:
        """Send the parts of a file as they become complete. Raises Stopped."""
        if not self.in_parts(file.size):
            return
        _wait_for(file, self.bucket.part_bytes)
        upload = self.memory.recall(key)
        there = self._listed(upload) if upload and upload.suits(file.size, None) else None
        if upload is None or there is None:
            upload, there = self._begin(key, file.size, None, content_type), {}
        meter = Meter(lambda _: None)
        with Source.opened(file.path) as source, senders() as pool:
            futures: deque[Future[tuple[bytes, str]]] = deque()
            try:
                for part in parts_of(upload.size, upload.part_bytes):
                    _wait_for(file, part[1] + part[2])
                    if len(futures) == AT_ONCE:
                        futures.popleft().result()
                    futures.append(pool.submit(self._ensure_part, source, upload, part, there, meter))
                meter.results(list(futures))
            except BaseException:
                meter.stop(list(futures))
                raise

    def abort(self, key: str, upload_id: str) -> None:
        """Have the account forget it, and forget it here."""
        try:
            self.client.call("abort_multipart_upload", Key=key, UploadId=upload_id)
        except GONE:
            log.debug("The upload of %s was gone already.", key)
        remembered = self.memory.recall(key)
        if remembered and remembered.upload_id == upload_id:
            self.memory.forget(key)

    def forget(self, key: str) -> None:
        """Whatever was begun for this key from this host."""
        if upload := self.memory.recall(key):
            self._give_up(upload)

    def _give_up(self, upload: Upload) -> None:
        """What stays on the account for now is aborted as an old one later."""
        try:
            self.abort(upload.key, upload.upload_id)
        except StorageError as error:
            log.warning("An upload of %s that nobody needs could not be aborted: %s", upload.key, error)

    def _send_whole(self, source: Source, key: str, file: FileToPut, meter: Meter) -> str:
        if source.sha256(file.size) != file.sha256:
            raise ContentMismatchError(f"{file.source.name} does not have its sha256 any more; nothing was sent.")
        md5 = source.md5(0, file.size)
        about = {"Metadata": {"sha256": file.sha256}, "ContentType": file.content_type, **self.bucket.encrypted}
        with senders() as pool:
            body = Slice(source, 0, file.size, meter, 1)
            future = pool.submit(self._send_body, "put_object", body, md5, {"Key": key, **about})
            meter.results([future])
        return md5.hex()

    def _begin(self, key: str, size: int, sha256: str | None, content_type: str) -> Upload:
        about = {"ContentType": content_type, "Metadata": {"sha256": sha256} if sha256 else {}}
        answer = self.client.call("create_multipart_upload", Key=key, **about, **self.bucket.encrypted)
        upload = Upload(key, size, sha256, answer["UploadId"], part_bytes(size, self.bucket.part_bytes))
        self.memory.keep(upload)
        return upload

    def _send_rest(self, source: Source, upload: Upload, there: Listed, meter: Meter) -> str:
        with senders() as pool:
            sent = meter.results(self._submit(pool, source, upload, there, meter))
        etag = etag_of_parts([md5 for md5, _ in sent])
        parts = [{"PartNumber": number, "ETag": f'"{mark}"'} for number, (_, mark) in enumerate(sent, 1)]
        try:
            about = {"Key": upload.key, "UploadId": upload.upload_id, "MultipartUpload": {"Parts": parts}}
            self.client.call("complete_multipart_upload", **about)
        except StorageError:
            if not self._is_done(upload, etag):
                raise
            log.info("The upload of %s was completed although the answer to that was lost.", upload.key)
        self.memory.forget(upload.key)
        return etag

    def _submit(
        self, pool: ThreadPoolExecutor, source: Source, upload: Upload, there: Listed, meter: Meter
    ) -> list[Future[tuple[bytes, str]]]:
        parts = parts_of(upload.size, upload.part_bytes)
        return [pool.submit(self._ensure_part, source, upload, part, there, meter) for part in parts]

    def _ensure_part(
        self,
        source: Source,
        upload: Upload,
        part: tuple[int, int, int],
        there: Listed,
        meter: Meter,
    ) -> tuple[bytes, str]:
        """Send a part unless the account holds the same; its md5, and what the account calls it."""
        number, start, length = part
        md5 = source.md5(start, length)
        etag, size = there.get(number, ("", -1))
        if size == length and (etag == md5.hex() or upload.sent.get(number) == (md5.hex(), etag)):
            meter.at(number, length)
            return md5, etag
        about = {"Key": upload.key, "UploadId": upload.upload_id, "PartNumber": number}
        answer = self._send_body("upload_part", Slice(source, start, length, meter, number), md5, about)
        etag = str(answer["ETag"]).strip('"')
        with self._remembering:
            upload.sent[number] = (md5.hex(), etag)
            self.memory.keep(upload)
        return md5, etag

    def _send_body(self, operation: str, body: Slice, md5: bytes, about: dict[str, Any]) -> dict[str, Any]:
        checksum = base64.b64encode(md5).decode()
        request = {"Body": body, "ContentLength": len(body), "ContentMD5": checksum, **about}
        for _ in range(TRIES - 1):
            try:
                return self.client.call(operation, **request)
            except ContentMismatchError:
                log.warning("%s: a part of %s arrived damaged; it is sent again.", self.bucket, about["Key"])
                body.seek(0)
        return self.client.call(operation, **request)

    def _listed(self, upload: Upload) -> Listed | None:
        """ETag and size by number of the parts that the account holds; None when it has forgotten the upload."""
        try:
            pages = list(self.client.pages("list_parts", Key=upload.key, UploadId=upload.upload_id))
        except GONE:
            return None
        parts = [part for page in pages for part in page.get("Parts", ())]
        return {part["PartNumber"]: (part["ETag"].strip('"'), part["Size"]) for part in parts}

    def _is_done(self, upload: Upload, etag: str) -> bool:
        try:
            head = self.client.call("head_object", Key=upload.key)
        except StorageError:
            return False
        return bool(head["ETag"].strip('"') == etag and head["ContentLength"] == upload.size)

    def _clear_up_now_and_then(self) -> None:
        """Abort uploads of ours that nobody has gone on with for days. Its failure is no failure of the upload."""
        try:
            if self.memory.housekeeping_is_due():
                self.memory.forget_old(self.bucket.forget_after)
                self._abort_old()
        except (StorageError, OSError) as error:
            log.warning("Old uploads could not be looked for: %s", error)

    def _abort_old(self) -> None:
        before = datetime.now(UTC) - self.bucket.forget_after
        for page in self.client.pages("list_multipart_uploads", Prefix=f"{self.bucket.prefix}-"):
            for old in page.get("Uploads", ()):
                if old["Initiated"] < before:
                    self.abort(old["Key"], old["UploadId"])


def _wait_for(file: GrowingFile, end: int) -> None:
    """Until it is there up to `end`. Raises Stopped."""
    there = 0
    while there < end:
        there = file.wait(end - 1, WAIT)
