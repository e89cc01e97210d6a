"""Finds the files that lack copies after accounts or policies have changed. While nothing changes it costs two small
queries.

What a change leaves to do is asked for in pieces: the mark in the database says how far the round has come, so that a
million files neither flood the tasks nor are looked at twice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils.timezone import now

from storage_app.models import PlacementPolicy, StorageAccount, StorageTask, TaskKind, UpkeepMark
from storage_app.upkeep.drain import retire_empty
from storage_app.upkeep.tasks import make_due, wake_keepers

MARK = "sweep"
CHUNK = 5_000
BACKLOG = 5_000
"""No more tasks are asked for while so many are due."""
WAITS = timedelta(hours=2)
"""When an account is back, tasks are due at once that would have waited no longer than this (for it, perhaps)."""
ANYWAY = timedelta(days=1)
"""A round is made although nothing has changed."""

_FIRST = UUID(int=0)

_CHUNK = """
SELECT max(id::text)::uuid, count(*) FROM (SELECT id FROM stored_file WHERE id > %s ORDER BY id LIMIT %s) AS chunk
"""

_ASK = """
WITH rule AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%s) AS r(work text, ready int[], wanted int, everywhere int)
), aim AS (
    SELECT f.id, rule.* FROM stored_file f
    JOIN LATERAL (
        SELECT r.* FROM (
            SELECT split_part(f.path, '/', 1) AS name
            UNION SELECT s.mal_id::text FROM video_store s WHERE s.stored_file_id = f.id
        ) AS having_it
        JOIN LATERAL (
            SELECT * FROM rule WHERE work IS NULL OR work = having_it.name ORDER BY work NULLS LAST LIMIT 1
        ) r ON true
        ORDER BY r.everywhere DESC LIMIT 1
    ) rule ON true
    WHERE f.id > %s AND f.id <= %s
), told AS (
    UPDATE stored_file f SET copies_wanted = aim.everywhere FROM aim
    WHERE f.id = aim.id AND f.copies_wanted IS DISTINCT FROM aim.everywhere
)
INSERT INTO storage_task (kind, stored_file_id, reason)
SELECT 'replicate', aim.id, %s FROM aim
WHERE (
    (SELECT count(*) FROM replica r WHERE r.stored_file_id = aim.id AND r.account_id = ANY (aim.ready)) < aim.wanted
    OR EXISTS (SELECT 1 FROM replica r WHERE r.stored_file_id = aim.id AND r.account_id = ANY (%s))
) AND (
    EXISTS (SELECT 1 FROM video_store s WHERE s.stored_file_id = aim.id)
    OR EXISTS (SELECT 1 FROM sidecar s WHERE s.stored_file_id = aim.id)
)
ON CONFLICT ON CONSTRAINT storage_task_once DO NOTHING
"""


def sweep() -> int:
    """Asks for the copies that are lacking, as far as the backlog allows; how many files. One keeper at a time."""
    asked = 0
    while (number := _step()) is not None:
        asked += number
    if asked:
        wake_keepers()
    return asked


def look_again() -> int:
    """Begin a round although nothing has changed; how many files were asked for by now."""
    UpkeepMark.objects.filter(name=MARK).delete()
    return sweep()


def _step() -> int | None:
    """One chunk of files, in a transaction of its own: how many of them lack copies. None: the round is over, the
    backlog is full, or another keeper is at it."""
    with transaction.atomic():
        UpkeepMark.objects.get_or_create(name=MARK)
        mark = UpkeepMark.objects.select_for_update(skip_locked=True).filter(name=MARK).first()
        if mark is None:
            return None
        world = _World.now()
        changed = mark.value.get("seen") != world.fingerprint
        if changed and not set(world.ready) <= set(mark.value.get("ready", [])):
            make_due(TaskKind.REPLICATE, WAITS)
        if mark.value.get("at") is None and not changed and mark.at > now() - ANYWAY:
            return None
        if changed or mark.value.get("at") is None:
            mark.value = {"seen": world.fingerprint, "ready": world.ready, "at": str(_FIRST)}
        return _go_on(mark, world)


def _go_on(mark: UpkeepMark, world: _World) -> int | None:
    """From where the round stands."""
    position: UUID | None = UUID(mark.value["at"])
    asked = None
    waiting = StorageTask.objects.filter(kind=TaskKind.REPLICATE, lease_token=None, not_before__lte=now())
    if position is not None and waiting.count() < BACKLOG:
        position, asked = world.ask(position)
    mark.value = {**mark.value, "at": None if position is None else str(position)}
    mark.at = now()
    mark.save()
    if position is None:
        retire_empty()
    return asked


@dataclass(frozen=True)
class _World:
    """The accounts and policies at a moment: for each policy the accounts that can take a copy now (`ready`), the
    copies that are possible there, and those `everywhere` that the policy asks for."""

    rules: list[dict[str, Any]]
    draining: list[int]

    @classmethod
    def now(cls) -> _World:
        accounts = list(StorageAccount.objects.all())
        used = [account for account in accounts if account.enabled and account.retired_at is None]
        moment = now()
        ready = {a.index for a in used if a.paused_until is None or a.paused_until <= moment}
        policies = list(PlacementPolicy.objects.prefetch_related("accounts").order_by("pk"))
        if not any(policy.mal_id is None for policy in policies):
            policies.append(PlacementPolicy())
        rules = []
        for policy in policies:
            chosen = {account.index for account in policy.accounts.all()} if policy.pk else set()
            allowed = {account.index for account in used if not chosen or account.index in chosen}
            everywhere = policy.copies or len(allowed)
            here = sorted(allowed & ready)
            rules.append(
                {
                    "work": None if policy.mal_id is None else str(policy.mal_id),
                    "ready": here,
                    "wanted": min(everywhere, len(here)),
                    "everywhere": everywhere,
                }
            )
        return cls(rules, [account.index for account in accounts if account.draining])

    @property
    def ready(self) -> list[int]:
        """Accounts that can take copies now, by any policy."""
        return sorted({index for rule in self.rules for index in rule["ready"]})

    @property
    def fingerprint(self) -> str:
        """Differs when something has changed that matters to where copies lie."""
        text = json.dumps([self.rules, self.draining], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def ask(self, position: UUID) -> tuple[UUID | None, int]:
        """The next files after `position`: where they end (None: there are no more), and how many lack a copy."""
        with connection.cursor() as cursor:
            cursor.execute(_CHUNK, [position, CHUNK])
            end, number = cursor.fetchall()[0]
            if not number:
                return None, 0
            reason = "It has fewer copies than wanted, or one on an account that is being drained."
            cursor.execute(_ASK, [json.dumps(self.rules), position, end, reason, self.draining])
            return (end if number == CHUNK else None), cursor.rowcount
