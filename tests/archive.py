"""Archived videos with real copies on disk, for tests that play or list them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from storage_app.models import Replica, StorageAccount, StoredFile, VideoStore
from storage_app.naming import VideoKey

KEY = VideoKey(55825, 1, "animasu", "720p")
CONTENT = bytes(range(256)) * 5000  # more than two chunks


def make_account(folder: Path, index: int = 1, *, enabled: bool = True) -> StorageAccount:
    """An account whose folder is `folder`/`index`."""
    return StorageAccount.objects.create(
        index=index, kind="local", username=f"user{index}", root=str(folder / str(index)), enabled=enabled
    )


def archive(key: VideoKey, accounts: list[StorageAccount], content: bytes = CONTENT) -> VideoStore:
    """A video with a copy on each account."""
    repo, path = key.repo("weaboo"), key.path("salt")
    file = StoredFile.objects.create(
        repo=repo, path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content), duration=61.5,
        media={"container": "mp4"},
    )  # fmt: skip
    for account in accounts:
        Replica.objects.create(stored_file=file, account=account)
        place = Path(account.root) / repo / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return VideoStore.objects.create(
        mal_id=key.mal_id, episode=key.episode, provider=key.provider, resolution=key.resolution,
        file_key=key.file_key("salt"), hf_account=accounts[0].index if accounts else 1, hf_repo=repo,
        hf_path=path,
        hf_direct_url="", stream_url=key.stream_path(), stored_file=file,
    )  # fmt: skip


def copy_of(video: VideoStore, account: StorageAccount) -> Path:
    """Where its copy lies."""
    assert video.stored_file is not None
    return Path(account.root) / video.stored_file.repo / video.stored_file.path
