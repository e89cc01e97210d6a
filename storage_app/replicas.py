"""Where the copies of a stored file lie."""

from __future__ import annotations

from pathlib import Path

from storage_app.backends.local import LocalBackend
from storage_app.models import Replica, StoredFile


def copy_paths(file: StoredFile, primary: int | None = None) -> list[Path]:
    """The copy on the account `primary` first, then those on accounts in use, then the rest."""
    replicas = sorted(
        file.replicas.select_related("account"),
        key=lambda replica: (replica.account_id != primary, not replica.account.enabled, replica.account_id),
    )
    return [_copy_path(replica, file) for replica in replicas]


def _copy_path(replica: Replica, file: StoredFile) -> Path:
    return LocalBackend(Path(replica.account.root)).local_path(file.repo, file.path)
