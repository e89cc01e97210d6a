"""How many copies a file should have, and on which accounts."""

from __future__ import annotations

from dataclasses import dataclass

from storage_app.models import StorageAccount, StoredFile


@dataclass(frozen=True)
class Target:
    """`accounts` may hold copies, the best first; `wanted` of them should."""

    accounts: list[StorageAccount]
    wanted: int


def target_of(_file: StoredFile) -> Target:
    """A copy on every account in use."""
    accounts = list(StorageAccount.objects.filter(enabled=True, retired_at=None).order_by("index"))
    return Target(accounts, len(accounts))
