"""Storage tasks: how they are asked for."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F
from django.db.models.functions import Least, Now

from storage_app.models import StorageAccount, StorageTask, StoredFile, TaskKind


def ask_for(
    kind: TaskKind,
    *,
    stored_file: StoredFile | None = None,
    account: StorageAccount | None = None,
    repo: str = "",
    path: str = "",
    reason: str = "",
    actor: str = "system",
    not_before: datetime | None = None,
) -> StorageTask:
    """The task that does this: a new one, or the one that is there already, which is then due at once if it waited."""
    task, new = StorageTask.objects.get_or_create(
        kind=kind,
        stored_file=stored_file,
        account=account,
        repo=repo,
        path=path,
        defaults={"reason": reason, "actor": actor, "not_before": not_before or Now()},
    )
    if not new:
        due = Least(F("not_before"), not_before) if not_before else Now()
        StorageTask.objects.filter(pk=task.pk, lease_token=None).update(not_before=due)
    return task
