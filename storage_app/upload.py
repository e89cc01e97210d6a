"""Puts a file on the storage accounts that don't hold it yet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from storage_app.backends import backend_for
from storage_app.backends.base import FileToPut, StorageError, StorageUnavailableError
from storage_app.models import Replica, StorageAccount


def missing_accounts(repo: str, path: str, sha256: str) -> list[StorageAccount]:
    """Enabled accounts without a confirmed copy of this content, lowest index first.

    Raises StorageUnavailableError when no account is enabled at all.
    """
    have = Replica.objects.filter(
        stored_file__repo=repo, stored_file__path=path, stored_file__sha256=sha256
    ).values_list("account_id", flat=True)
    accounts = StorageAccount.objects.filter(enabled=True)
    missing = list(accounts.exclude(index__in=list(have)))
    if not missing and not accounts.exists():
        raise StorageUnavailableError("There is no enabled storage account. Add or enable one in the admin.")
    return missing


def upload(
    accounts: Sequence[StorageAccount],
    source: Path,
    repo: str,
    path: str,
    sha256: str,
    progress: Callable[[int, int], None],
) -> Iterator[StorageAccount]:
    """Copy the file to each of these accounts in turn, yielding an account once its copy is confirmed.

    `progress` gets (bytes sent, bytes to send) over all accounts and may raise to stop. Raises StorageError of the
    first account that fails; the accounts yielded before keep their copies.
    """
    size = source.stat().st_size
    for number, account in enumerate(accounts):
        report = functools.partial(_report, progress, number * size, len(accounts) * size)
        try:
            backend_for(account).put([FileToPut(source, repo, path, sha256, size)], report)
        except StorageError as error:
            error.account = account.index
            raise
        yield account


def _report(progress: Callable[[int, int], None], before: int, total: int, sent: int) -> None:
    progress(before + sent, total)
