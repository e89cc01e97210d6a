"""Where the copies of a stored file lie."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from django.conf import settings
from django.utils.timezone import now

from storage_app.backends import backend_for
from storage_app.backends.local import LocalBackend
from storage_app.models import AccountKind, Replica, StorageAccount, StoredFile
from storage_app.playback.copies import Copy, LocalCopy, RemoteCopy
from storage_app.upkeep.tasks import FULL_REASONS

ANSWER_SECONDS = 8.0
"""For which a player waits for an account; uploads wait for STORAGE_TIMEOUT."""


def copies_of(file: StoredFile, primary: int | None = None) -> list[Copy]:
    """The copy on the account `primary` first, then those on accounts in use, then the rest; those on accounts that
    are paused last, for they didn't answer. An account that is only full can be read.

    One query; nothing is opened, and opening them needs no database.
    """
    replicas = sorted(
        file.replicas.select_related("account"),
        key=lambda replica: (
            _in_trouble(replica.account),
            replica.account_id != primary,
            not replica.account.enabled,
            replica.account_id,
        ),
    )
    return [_copy(replica, file) for replica in replicas]


def _in_trouble(account: StorageAccount) -> bool:
    paused = account.paused_until is not None and account.paused_until > now()
    return paused and not re.search(FULL_REASONS, account.pause_reason, re.IGNORECASE)


def _copy(replica: Replica, file: StoredFile) -> Copy:
    account = replica.account
    name = f"The copy of {file.repo}/{file.path} on account {account.index}"
    if account.kind == AccountKind.LOCAL:
        return LocalCopy(name, LocalBackend(Path(account.root), in_use=True), file.repo, file.path)
    timeout = min(ANSWER_SECONDS, settings.STORAGE_TIMEOUT)
    connect = functools.partial(backend_for, account, in_use=True, timeout=timeout)
    return RemoteCopy(name, connect, file.repo, file.path, file.sha256, replica.pk)
