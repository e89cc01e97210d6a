"""Storage tasks: how they are asked for, taken under a lease, and ended.

A task stays until it is done or its subject is gone. Every write to one that is in work carries its lease's token;
whoever lost the lease changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import cast

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.db.models.query import RawQuerySet
from django.utils.timezone import now

from storage_app.models import StorageAccount, StorageTask, StoredFile, TaskKind

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)
CHANNEL = "storage_task"
FULL_REASONS = "full|room|quota|space"
"""A pause for one of these (a regular expression over its reason) only keeps new copies away."""

_ASK = """
INSERT INTO storage_task AS t (kind, stored_file_id, account_id, repo, path, reason, actor, not_before)
VALUES (%s, %s, %s, %s, %s, %s, %s, coalesce(%s, now()))
ON CONFLICT ON CONSTRAINT storage_task_once DO UPDATE SET
    not_before = CASE
        WHEN t.lease_token IS NOT NULL THEN greatest(excluded.not_before, clock_timestamp())
        WHEN excluded.actor = 'scrub' THEN t.not_before
        WHEN excluded.actor = 'system' AND t.attempts > 0 AND t.not_before > now() + interval '2 hours'
            THEN t.not_before
        ELSE least(t.not_before, excluded.not_before) END,
    reason = CASE WHEN excluded.actor = 'scrub' OR excluded.actor = 'system' AND t.actor <> 'scrub'
        THEN t.reason ELSE excluded.reason END,
    actor = CASE WHEN excluded.actor = 'scrub' OR excluded.actor = 'system' AND t.actor <> 'scrub'
        THEN t.actor ELSE excluded.actor END
RETURNING t.*
"""

_CLAIM = """
WITH due AS (
    SELECT t.id FROM storage_task t LEFT JOIN storage_account a ON a.index = t.account_id
    WHERE t.kind = ANY (%s) AND t.not_before <= now()
      AND (t.lease_token IS NULL OR t.lease_expires_at < now())
      AND (a.paused_until IS NULL OR a.paused_until <= now() OR t.kind = 'measure' OR a.pause_reason ~* %s)
    ORDER BY t.not_before LIMIT 1 FOR UPDATE OF t SKIP LOCKED
)
UPDATE storage_task t
SET lease_token = gen_random_uuid(), lease_expires_at = now() + %s, worker_id = %s, bytes_done = 0, bytes_total = NULL
FROM due WHERE t.id = due.id
RETURNING t.*
"""


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
    """The task that does this: a new one, or the one that is there already, which is then due at once if it waited; but
    one that waits for a person (`NeedsPerson`) only if a person asks.

    One that is in work just now is done once more when it ends: what it has looked at may have changed since.
    """
    subject = (kind.value, stored_file and stored_file.pk, account and account.pk, repo, path)
    with transaction.atomic():
        rows: RawQuerySet[StorageTask] = StorageTask.objects.raw(_ASK, [*subject, reason, actor, not_before])
        task: StorageTask = rows[0]
        if not_before is None:
            wake_keepers()
    return task


def wake_keepers() -> None:
    """Have idle keepers look for tasks now rather than at their next poll; at the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def claim(kinds: Iterable[TaskKind], worker_id: str, lease: timedelta) -> StorageTask | None:
    """The task of these kinds that is due for longest, now this worker's for as long as the lease lasts.

    Tasks at an account that is paused wait for it, except those that a full account needs to get well again.
    """
    rows: RawQuerySet[StorageTask] = StorageTask.objects.raw(
        _CLAIM, [[kind.value for kind in kinds], FULL_REASONS, lease, worker_id]
    )
    return next(iter(rows), None)


def due_kinds() -> set[str]:
    """The kinds of which a task may be due."""
    free = Q(lease_token=None) | Q(lease_expires_at__lt=Now())
    due = StorageTask.objects.filter(free, not_before__lte=Now())
    return set(due.order_by().values_list("kind", flat=True).distinct())


def renew(task: StorageTask, lease: timedelta, bytes_done: int, bytes_total: int | None) -> bool:
    """Write progress down and keep the lease; False when it was lost."""
    held = StorageTask.objects.filter(pk=task.pk, lease_token=task.lease_token)
    return bool(held.update(lease_expires_at=Now() + lease, bytes_done=bytes_done, bytes_total=bytes_total))


def finish(task: StorageTask) -> bool:
    """The task is done and goes; one that was asked for again meanwhile stays. False when the lease was lost."""
    held = StorageTask.objects.filter(pk=task.pk, lease_token=task.lease_token)
    with transaction.atomic():
        if held.filter(not_before=task.not_before).delete()[0]:
            return True
        return bool(held.update(lease_token=None, lease_expires_at=None, worker_id="", attempts=0, error_message=""))


def fail(task: StorageTask, message: str, *, until: datetime | None = None) -> bool:
    """It is tried again at `until`, else after a wait that grows with each attempt, up to an hour."""
    growing = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(task.attempts, 12))
    due = until or now() + growing * random.uniform(0.5, 1)  # noqa: S311 (to spread tasks, not to keep a secret)
    return _release(task, due, message, attempts=1)


def postpone(task: StorageTask, until: datetime, message: str) -> bool:
    """It waits for something that is no failure of its own; no attempt is counted."""
    return _release(task, until, message, attempts=0)


def hand_back(task: StorageTask) -> bool:
    """Its worker stops: any other may take it at once."""
    return _release(task, task.not_before, task.error_message, attempts=0)


def pause(account: int, reason: str, seconds: float | None = None) -> datetime | None:
    """Send an account to rest, for `seconds` (up to a day) if it named them, else longer each time; when it may be used
    again. None if there is no such account any more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pause_account(%s, %s, %s)", [account, reason, seconds])
        return cast("datetime | None", cursor.fetchall()[0][0])


def make_due(kind: TaskKind, within: timedelta) -> int:
    """Tasks of this kind that nobody is at, and that would wait no longer than `within`, are due now. How many."""
    waiting = StorageTask.objects.filter(kind=kind, lease_token=None, not_before__range=(now(), now() + within))
    number = waiting.update(not_before=Now())
    if number:
        wake_keepers()
    return number


def _release(task: StorageTask, due: datetime, message: str, *, attempts: int) -> bool:
    """Gives the lease back. Somebody may have asked for it meanwhile: then it is due at once."""
    held = StorageTask.objects.filter(pk=task.pk, lease_token=task.lease_token)
    with transaction.atomic():
        asked_again = held.exclude(not_before=task.not_before).update(lease_expires_at=None)
        return bool(
            held.update(
                lease_token=None, lease_expires_at=None, worker_id="", error_message=message,
                attempts=F("attempts") + attempts, not_before=F("not_before") if asked_again else due,
            )
        )  # fmt: skip
