"""Compares what an account holds with what the tables say it holds, both ways."""

from __future__ import annotations

import hashlib
import itertools
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.timezone import now

from storage_app.backends.base import ListedObject
from storage_app.models import Orphan, Replica, StorageAccount, StorageTask, TaskKind
from storage_app.upkeep import listed
from storage_app.upkeep.lease import Beat, NeedsPerson, Postpone
from storage_app.upkeep.losses import condemn, drop, unreachable
from storage_app.upkeep.reading import State, look, naming
from storage_app.upkeep.tasks import ask_for

_NEEDED = """
SELECT o.id FROM orphan o CROSS JOIN LATERAL regexp_replace(o.path, '[.][^/]*$', '') AS stem
WHERE o.id = ANY (%s) AND stem ~ '^[0-9]+/ep[0-9]+/[0-9A-Za-z_-]+$'
  AND EXISTS (SELECT 1 FROM orphan m WHERE m.repo = o.repo AND m.path = stem || '.json')
  AND NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.mal_id || '/ep' || t.episode || '/' || t.file_key = stem)
"""

BATCH = 1000
PAGE = 5000
MANY = 5
SHARE = 0.2
"""From this share of its copies on (and at least MANY of them), or when all are missing, an account is not believed.
What one deletes by hand, and what rots, is less; a folder that isn't mounted, a bucket of that name on another
endpoint, or a token that no longer sees private repositories lacks most."""
ORPHAN_AGE = timedelta(days=1)
"""An object is an orphan once two looks, so far apart, have found it unknown: a job may just be storing it."""


@dataclass
class Reconciled:
    """What came of it, in copies and objects."""

    account: int
    objects: int = 0
    copies: int = 0
    missing: int = 0
    differing: int = 0
    adopted: int = 0
    orphans: int = 0
    forgotten_orphans: int = 0
    unreachable: bool = False
    notes: list[str] = field(default_factory=list)


def reconcile_task(task: StorageTask, beat: Beat) -> None:
    """Task: one account. Raises Postpone and StorageError."""
    if task.account is not None:
        result = reconcile(task.account, beat)
        if result.unreachable:
            raise Postpone(result.notes[-1], timedelta(hours=1))


def reconcile(account: StorageAccount, beat: Beat, *, accept_loss: bool = False) -> Reconciled:
    """Lists the account. Copies that it lacks, once confirmed, lose their rows and are made anew; copies that differ
    are read back; contents that are there although no row says so get one; what nobody knows is noted as an orphan.

    When far too much is missing at once nothing is done but to pause the account, unless `accept_loss`. Memory: 8 bytes
    an object. Raises StorageError, and then nothing was given up.
    """
    result, started = Reconciled(account.index), now()
    seen, differing = _read_list(account, result, beat, accept_loss=accept_loss)
    missing = _not_listed(account, seen, started, result, beat)
    result.missing, result.differing = len(missing), len(differing)
    lost = len(missing)
    if lost and not accept_loss and (lost == result.copies or (lost >= MANY and lost > SHARE * result.copies)):
        result.unreachable = True
        result.notes.append(unreachable(account, f"{lost} of {result.copies} copies")[0])
        return result
    for replica in _replicas(differing):
        ask_for(
            TaskKind.VERIFY, stored_file=replica.stored_file, account=account, reason="Listed with another content."
        )
    for replica in _replicas(missing):
        _confirm_missing(replica, result, beat, accept_loss=accept_loss)
    result.forgotten_orphans = Orphan.objects.filter(account=account, seen_at__lt=started).delete()[0]
    return result


def reconcile_all() -> int:
    """Ask for every account that isn't retired; how many."""
    accounts = StorageAccount.objects.filter(retired_at=None)
    return len([ask_for(TaskKind.RECONCILE, account=account, reason="It is time.") for account in accounts])


def confirmable() -> Q:
    """Orphans that may be removed: seen twice, a day apart, and not confirmed yet."""
    return Q(confirmed_at=None, seen_at__gte=F("found_at") + ORPHAN_AGE)


def needed(ids: Iterable[int]) -> set[int]:
    """Those of these orphans that `rebuild_store` would restore a video from: manifests, and files with an unknown
    manifest beside them on any account. Not those of videos that were deleted on purpose."""
    with connection.cursor() as cursor:
        cursor.execute(_NEEDED, [list(ids)])
        return {pk for (pk,) in cursor.fetchall()}


def confirm_orphans(ids: Iterable[int], actor: str) -> int:
    """Has these orphans removed, those that were seen twice and long enough apart; how many.

    Those that a rebuild needs stay (`needed`). Each is checked once more before it goes: what a table knows by then
    stays.
    """
    number, ids = 0, list(ids)
    kept = needed(ids)
    for orphan in Orphan.objects.filter(confirmable(), pk__in=ids).select_related("account"):
        if orphan.pk in kept:
            continue
        if Orphan.objects.filter(pk=orphan.pk, confirmed_at=None).update(confirmed_at=Now(), confirmed_by=actor):
            ask_for(
                TaskKind.REMOVE, account=orphan.account, repo=orphan.repo, path=orphan.path, actor=actor,
                reason="No table knew it.",
            )  # fmt: skip
            number += 1
    return number


def _read_list(
    account: StorageAccount, result: Reconciled, beat: Beat, *, accept_loss: bool
) -> tuple[array[int], list[UUID]]:
    """Marks of all places that are listed, in order; and the copies that are listed with another size or sha256."""
    seen, differing = array("Q"), list[UUID]()
    # A folder that is empty although it held copies is refused, unless the operator says that it is so.
    with naming(account, in_use=False if accept_loss else None) as backend:
        objects = backend.list()
        while batch := list(itertools.islice(objects, BATCH)):
            beat.check()
            seen.extend(_mark(found.repo, found.path) for found in batch)
            result.objects += len(batch)
            _take_in(account, batch, differing, result, beat)
    return array("Q", sorted(seen)), differing


def _take_in(
    account: StorageAccount, batch: list[ListedObject], differing: list[UUID], result: Reconciled, beat: Beat
) -> None:
    rows = listed.rows_at(account, batch)
    unknown = []
    for found in batch:
        here = rows.get((found.repo, found.path), [])
        copy = next((row for row in here if row.replica), None)
        if copy is not None:
            if not copy.fits(found):
                differing.append(copy.replica)  # type: ignore[arg-type]
        elif (file := listed.expected_at(here, found)) is not None:
            result.adopted += listed.adopt(account, file, beat)
        else:
            unknown.append(found)
    result.orphans += listed.note_orphans(account, unknown)


def _not_listed(
    account: StorageAccount, seen: array[int], started: datetime, result: Reconciled, beat: Beat
) -> list[UUID]:
    """Copies of the tables that aren't among the marks. Those made since the list was begun aren't asked for."""
    missing = []
    last = UUID(int=0)
    rows = Replica.objects.filter(account=account, created_at__lt=started).order_by("pk")
    while page := list(rows.filter(pk__gt=last).values_list("pk", "stored_file__repo", "stored_file__path")[:PAGE]):
        beat.check()
        missing += [pk for pk, repo, path in page if not _holds(seen, _mark(repo, path))]
        result.copies += len(page)
        last = page[-1][0]
    return missing


def _confirm_missing(replica: Replica, result: Reconciled, beat: Beat, *, accept_loss: bool) -> None:
    beat.check()
    found = look(replica.stored_file, replica.account, in_use=False if accept_loss else None)
    if found.good:
        result.missing -= 1
    elif found.state is State.BAD:
        ask_for(TaskKind.VERIFY, stored_file=replica.stored_file, account=replica.account, reason=found.text)
    elif accept_loss:
        drop(replica, found)
    else:
        try:
            condemn(replica, found, beat)
        except (Postpone, NeedsPerson) as reason:
            result.notes.append(str(reason))


def _replicas(ids: list[UUID]) -> Iterator[Replica]:
    for start in range(0, len(ids), BATCH):
        page = Replica.objects.filter(pk__in=ids[start : start + BATCH])
        yield from page.select_related("stored_file", "account")


def _mark(repo: str, path: str) -> int:
    """Of 64 bits: among a million places two are the same once in 40 million runs, and then a scrub finds the loss."""
    return int.from_bytes(hashlib.blake2b(f"{repo}/{path}".encode(), digest_size=8).digest(), "big")


def _holds(marks: array[int], mark: int) -> bool:
    place = bisect_left(marks, mark)
    return place < len(marks) and marks[place] == mark
