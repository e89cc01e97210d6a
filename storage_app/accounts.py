"""Storage accounts that the environment asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Max

from storage_app.models import AccountKind, StorageAccount


def ensure_local_accounts(folders: Iterable[Path]) -> list[StorageAccount]:
    """An account for each folder that has none yet, numbered after the last one. Existing accounts are left alone."""
    created = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE storage_account IN SHARE ROW EXCLUSIVE MODE")
        for folder in folders:
            if StorageAccount.objects.filter(kind=AccountKind.LOCAL, root=str(folder)).exists():
                continue
            index = (StorageAccount.objects.aggregate(last=Max("index"))["last"] or 0) + 1
            created.append(
                StorageAccount.objects.create(
                    index=index, kind=AccountKind.LOCAL, username=f"local{index}", root=str(folder)
                )
            )
    return created
