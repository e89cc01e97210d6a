"""Kinds of storage account: the contract in `base`, one module a kind, and the function that picks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storage_app.backends.base import Backend
from storage_app.backends.local import LocalBackend

if TYPE_CHECKING:
    from storage_app.models import StorageAccount


def backend_for(account: StorageAccount) -> Backend:
    """The backend that speaks for this account. Raises StorageAuthError when its credentials can't be had."""
    return LocalBackend(Path(account.root))
