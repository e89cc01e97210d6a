"""Multipart uploads that were begun, remembered on this host's disk so that a killed one goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

log = logging.getLogger(__name__)

HOUSEKEEPING = timedelta(days=1)


@dataclass
class Upload:
    """A multipart upload. `sha256` is None while that isn't known; `sent` holds (md5, etag) of the parts by number."""

    key: str
    size: int
    sha256: str | None
    upload_id: str
    part_bytes: int
    sent: dict[int, tuple[str, str]] = field(default_factory=dict)

    def suits(self, size: int, sha256: str | None) -> bool:
        """Whether a file of that size, and with that hash as far as both are known, may go on with it."""
        return self.size == size and (sha256 is None or self.sha256 in {None, sha256})


class Memory:
    """The uploads to one bucket. A file that can't be read is as good as none: the upload begins anew."""

    def __init__(self, folder: Path, endpoint: str, bucket: str) -> None:
        self._folder = folder
        self._bucket = hashlib.sha256(f"{endpoint}\n{bucket}".encode()).hexdigest()[:16]

    def recall(self, key: str) -> Upload | None:
        """What was begun for this key."""
        try:
            kept = json.loads(self._path(key).read_text(encoding="utf-8"))
            kept["sent"] = {int(number): (md5, etag) for number, (md5, etag) in kept["sent"].items()}
            upload = Upload(**kept)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return upload if upload.key == key and upload.part_bytes > 0 else None

    def keep(self, upload: Upload) -> None:
        """Durably, in the place of what was kept for its key."""
        with self._harmless(upload.key):
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder, prefix="s3-", suffix=".part")
            with os.fdopen(descriptor, "w", encoding="utf-8") as writer:
                json.dump(asdict(upload), writer)
                writer.flush()
                os.fsync(writer.fileno())
            Path(name).replace(self._path(upload.key))

    def forget(self, key: str) -> None:
        """Nothing is begun for this key any more."""
        with self._harmless(key):
            self._path(key).unlink(missing_ok=True)

    @contextmanager
    def _harmless(self, key: str) -> Iterator[None]:
        """An upload that can't be remembered is finished all the same; only a kill would cost more."""
        try:
            yield
        except OSError as error:
            log.warning("What is sent of %s can't be remembered in %s: %s", key, self._folder, error.strerror)

    def housekeeping_is_due(self) -> bool:
        """True once a day; the day begins with the answer."""
        mark = self._folder / f"s3-{self._bucket}.housekeeping"
        if mark.exists() and time.time() - mark.stat().st_mtime < HOUSEKEEPING.total_seconds():
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return True

    def forget_old(self, age: timedelta) -> None:
        """Forget what nobody has gone on with for so long, and what a killed `keep` left."""
        for path in (*self._folder.glob(f"s3-{self._bucket}-*.json"), *self._folder.glob("s3-*.part")):
            try:
                old = time.time() - path.stat().st_mtime > age.total_seconds()
            except FileNotFoundError:
                continue
            if old:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"s3-{self._bucket}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
