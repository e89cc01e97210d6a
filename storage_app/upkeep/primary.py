"""The copy that a video's row names (CONTRACT §1: hf_account, hf_repo, hf_path, hf_direct_url) is one that there is."""

from __future__ import annotations

from storage_app.backends import backend_for
from storage_app.backends.base import StorageError
from storage_app.models import Replica, StorageAccount, StoredFile, TaskKind, VideoStore
from storage_app.upkeep.events import record
from storage_app.upkeep.tasks import ask_for


def follow(file: StoredFile) -> int:
    """Where a video's primary copy is gone, names the next best: on an account in use, of the lowest index. Its
    manifest is then written anew. Returns how many videos moved; those without any copy keep what they had."""
    copies = Replica.objects.filter(stored_file=file).select_related("account")
    best = copies.order_by("-account__enabled", "account__index").first()
    if best is None:
        return 0
    astray = VideoStore.objects.filter(stored_file=file).exclude(hf_account__in=copies.values("account_id"))
    moved = [video for video in astray if _move(video, file, best.account)]
    if moved:
        ask_for(TaskKind.MANIFEST, stored_file=file, reason=f"The primary copy is now on account {best.account}.")
    return len(moved)


def _move(video: VideoStore, file: StoredFile, account: StorageAccount) -> bool:
    """False when somebody else was faster."""
    changed = VideoStore.objects.filter(pk=video.pk, hf_account=video.hf_account, stored_file=file).update(
        hf_account=account.index,
        hf_repo=f"{account.username}/{file.repo}",
        hf_path=file.path,
        hf_direct_url=_direct_url(account, file) or video.stream_url,
    )
    if changed:
        text = f"{video}: its primary copy on account {video.hf_account} is gone; it is now the one on {account}."
        record("primary_moved", text, account=account.index, file=file)
    return bool(changed)


def _direct_url(account: StorageAccount, file: StoredFile) -> str | None:
    try:
        return backend_for(account).direct_url(file.repo, file.path)
    except StorageError:
        return None  # its credentials can't be had here; the stream URL serves
