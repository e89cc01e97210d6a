"""How many copies a file should have, and on which accounts."""

from __future__ import annotations

from dataclasses import dataclass

from storage_app.backends.base import StorageUnavailableError
from storage_app.models import StorageAccount, StoredFile
from storage_app.placement import placement_of


@dataclass(frozen=True)
class Target:
    """`accounts` may hold copies and have room for one, the best first; `wanted` of them should."""

    accounts: list[StorageAccount]
    wanted: int
    full: list[StorageAccount]
    """Those without room."""


def target_of(file: StoredFile) -> Target:
    """By the file's placement. Without an account in use nothing is wanted anywhere."""
    try:
        placement = placement_of(file)
    except StorageUnavailableError:
        return Target([], 0, [])
    accounts = [account for account in placement.accounts if account.index not in placement.full]
    full = [account for account in placement.accounts if account.index in placement.full]
    return Target([*accounts, *placement.others], placement.wanted, full)
