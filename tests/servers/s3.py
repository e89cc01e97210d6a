"""Buckets and files for the tests of the S3 backend."""

from __future__ import annotations

import hashlib
import random
import uuid
from pathlib import Path
from typing import Any

from storage_app.backends.base import FileToPut, Progress, StoredObject
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.rgw import Rgw

MIB = 1024 * 1024
PART = 5 * MIB
"""The smallest that S3 allows."""
REPO, PATH = "weaboo-1", "1/ep1/a.mp4"


def new_bucket(server: Rgw, folder: Path, endpoint: str = "", **changes: Any) -> Bucket:
    """A bucket that was just made, reached at that endpoint."""
    settings: dict[str, Any] = {
        "endpoint": endpoint or server.endpoint,
        "bucket": f"b{uuid.uuid4().hex[:12]}",
        "region": "",
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "addressing": "auto",
        "encryption": "",
        "public_url": "",
        "prefix": "weaboo",
        "timeout": 5.0,
        "memory_folder": folder / "uploads",
        "part_bytes": PART,
    }
    bucket = Bucket(**{**settings, **changes})
    S3Backend(bucket).client.call("create_bucket")
    return bucket


def file_of(folder: Path, size: int, seed: int = 1, path: str = PATH) -> FileToPut:
    """A file of that size with random bytes."""
    content = random.Random(seed).randbytes(size)
    source = folder / f"source-{seed}-{size}.mp4"
    source.write_bytes(content)
    return FileToPut(source, REPO, path, hashlib.sha256(content).hexdigest(), size, "video/mp4")


def put(backend: S3Backend, file: FileToPut, progress: Progress = lambda _: None) -> StoredObject:
    """Put one file."""
    (stored,) = backend.put([file], progress)
    return stored


def read(backend: S3Backend, path: str = PATH, start: int = 0, end: int | None = None) -> bytes:
    """What `open` gives, in one piece."""
    return b"".join(backend.open(REPO, path, start, end))
