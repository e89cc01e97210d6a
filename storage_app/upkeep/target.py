"""How many copies a file should have, and on which accounts: what the placement says, as the upkeep needs it."""

from __future__ import annotations

from dataclasses import dataclass

from storage_app.backends.base import StorageUnavailableError
from storage_app.models import StorageAccount, StoredFile
from storage_app.placement import placement_of


@dataclass(frozen=True)
class Target:
    """`accounts` may hold the file, the best first; `wanted` copies are asked for, be there accounts or not.
    `full` are the indexes of those that have no room for it."""

    accounts: list[StorageAccount]
    wanted: int
    full: frozenset[int] = frozenset()


def target_of(file: StoredFile) -> Target:
    """Asked anew each time: accounts come and go. Without any account in use nothing is to be done now."""
    try:
        placement = placement_of(file)
    except StorageUnavailableError:
        return Target([], 1)
    return Target([*placement.accounts, *placement.others], placement.wanted, placement.full)
