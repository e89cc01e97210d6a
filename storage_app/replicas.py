"""Where the copies of a stored file lie."""

from __future__ import annotations

import functools
from pathlib import Path

from storage_app.backends import backend_for
from storage_app.backends.local import LocalBackend
from storage_app.models import AccountKind, Replica, StoredFile
from storage_app.playback.copies import Copy, LocalCopy, RemoteCopy


def copies_of(file: StoredFile, primary: int | None = None) -> list[Copy]:
    """The copy on the account `primary` first, then those on accounts in use, then the rest.

    One query; nothing is opened, and opening them needs no database.
    """
    replicas = sorted(
        file.replicas.select_related("account"),
        key=lambda replica: (replica.account_id != primary, not replica.account.enabled, replica.account_id),
    )
    return [_copy(replica, file) for replica in replicas]


def _copy(replica: Replica, file: StoredFile) -> Copy:
    account = replica.account
    name = f"The copy of {file.repo}/{file.path} on account {account.index}"
    if account.kind == AccountKind.LOCAL:
        return LocalCopy(name, LocalBackend(Path(account.root), in_use=True), file.repo, file.path)
    connect = functools.partial(backend_for, account, in_use=True)
    return RemoteCopy(name, connect, file.repo, file.path, file.sha256, replica.pk)
