"""Brings a file to the copies that its placement wants, and off the accounts that are being drained."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from django.db import transaction
from django.db.models.functions import Now
from django.utils.timezone import now

from storage_app.backends.base import Backend, ContentMismatchError, FileToPut, StorageError, StoredObject
from storage_app.models import Orphan, Replica, StorageAccount, StorageTask, StoredFile, TaskKind
from storage_app.upkeep import drain, jobs, primary
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat, NeedsPerson, Postpone
from storage_app.upkeep.losses import require_quiet
from storage_app.upkeep.reading import naming
from storage_app.upkeep.sources import Sources, to_put
from storage_app.upkeep.target import Target, target_of
from storage_app.upkeep.tasks import ask_for, pause
from storage_app.upkeep.workspace import workspace

log = logging.getLogger(__name__)

NO_ROOM_WAIT = timedelta(minutes=30)
COMPANIONS = 90
"""Files that go with a video in one put; a commit to the Hub takes a hundred."""


def replicate(task: StorageTask, beat: Beat) -> None:
    """Task: one file. Raises Postpone, NeedsPerson and StorageError; the accounts that work have their copies then."""
    file = task.stored_file
    if file is None:
        return
    require_quiet(file)
    if not jobs.in_use(file):
        return
    if jobs.has_rival(file):
        raise NeedsPerson(f"Two videos have different contents at {file.path}; no copy is made of either.")
    target = target_of(file)
    StoredFile.objects.filter(pk=file.pk).exclude(copies_wanted=target.wanted).update(copies_wanted=target.wanted)
    primary.follow(file)
    _make_copies(file, target, beat)
    drain.leave(file, target, beat)


def _make_copies(file: StoredFile, target: Target, beat: Beat) -> None:
    """Every account gets its try; the first failure is raised at the end."""
    have = set(file.replicas.values_list("account_id", flat=True))
    lacking = [account for account in target.accounts if account.index not in have]
    number = min(target.wanted - (len(target.accounts) - len(lacking)), len(lacking))
    ready = [account for account in lacking if not _paused(account) and account.index not in target.full]
    failure = _copy_to(ready, number, file, beat) if number > 0 and ready else None
    if failure is not None:
        raise failure
    if number > len(ready):
        _wait_for([account for account in lacking if account not in ready])


def _wait_for(accounts: Sequence[StorageAccount]) -> None:
    """Until the first of them can take the copy: its pause ends, or somebody makes room. Raises Postpone."""
    paused = [account for account in accounts if _paused(account)]
    if paused:
        first = min(paused, key=lambda account: account.paused_until or now())
        raise Postpone(f"Account {first} is paused: {first.pause_reason}", until=first.paused_until)
    raise Postpone(f"Account {accounts[0]} has no room for it. Make some, or add an account.", NO_ROOM_WAIT)


def _copy_to(accounts: Sequence[StorageAccount], number: int, file: StoredFile, beat: Beat) -> StorageError | None:
    """Copies to `number` of these accounts, the later ones where earlier ones fail; the first failure."""
    failure: StorageError | None = None
    with workspace() as folder:
        sources: dict[StoredFile, Sources] = {}
        beat.expect(file.size * (number + 1))
        for account in accounts:
            if number == 0:
                break
            files = [file, *_companions(file, account)]
            for one in files:
                sources.setdefault(one, Sources(one, folder, beat))
            try:
                _bring([sources[one] for one in files], account, beat)
                number -= 1
            except StorageError as error:
                if error.account is not None and not isinstance(error, ContentMismatchError):
                    pause(error.account, str(error), getattr(error, "retry_after", None))
                failure = failure or error
    return failure if number else None


def _companions(file: StoredFile, account: StorageAccount) -> list[StoredFile]:
    """What belongs to the file's videos and has other copies, but none on the account."""
    beside = StoredFile.objects.filter(sidecars__video__stored_file=file).exclude(replicas__account=account)
    return list(beside.filter(replicas__isnull=False).exclude(pk=file.pk).distinct().order_by("path")[:COMPANIONS])


def _bring(sources: Sequence[Sources], account: StorageAccount, beat: Beat) -> None:
    """All of these files to one account: copied by itself where it can, the rest in one put."""
    with naming(account) as target:
        left = [source for source in sources if not _copied_directly(source, account, target, beat)]
    files = list(_at_hand(left))
    if not files:
        return
    beat.next_step()
    with naming(account) as target:
        stored = target.put([to_put(source.file, path) for source, path in files], beat.progress)
    for (source, path), found in zip(files, stored, strict=True):
        _confirm(source.file, account, found, to_put(source.file, path))


def _copied_directly(source: Sources, account: StorageAccount, target: Backend, beat: Beat) -> bool:
    beat.check()
    found = source.copy_directly(account, target)
    if found is not None:
        _confirm(source.file, account, found, to_put(source.file, Path()))
    return found is not None


def _at_hand(sources: Iterable[Sources]) -> Iterable[tuple[Sources, Path]]:
    """The files that can be read. The first must be; a companion that can't has a task of its own."""
    for number, source in enumerate(sources):
        try:
            yield source, source.local_path()
        except (StorageError, NeedsPerson) as error:
            if number == 0:
                raise
            ask_for(TaskKind.REPLICATE, stored_file=source.file, reason=str(error))


def _confirm(file: StoredFile, account: StorageAccount, found: StoredObject, put: FileToPut) -> None:
    """Writes the copy down, if the file still is what should lie there. Raises Postpone and ContentMismatchError."""
    if found.size != put.size or found.sha256 not in {None, put.sha256}:
        raise ContentMismatchError(f"The copy of {file.path} on account {account} is not the file that was sent.")
    with transaction.atomic():
        if not StoredFile.objects.select_for_update().filter(pk=file.pk).exists() or not jobs.in_use(file):
            ask_for(TaskKind.REMOVE, account=account, repo=file.repo, path=file.path, reason="Deleted meanwhile.")
            return
        changing = jobs.being_stored(file.path)
        if not changing:
            _write_down(file, account, found)
    if changing or _being_removed(file, account):
        # Which of the two came last isn't known: whatever the tables expect there in the end is read back.
        ask_for(
            TaskKind.VERIFY, account=account, repo=file.repo, path=file.path, not_before=now() + timedelta(minutes=2),
            reason="Something else was stored or removed there at the same time.",
        )  # fmt: skip
        require_quiet(file)


def _being_removed(file: StoredFile, account: StorageAccount) -> bool:
    removals = StorageTask.objects.filter(kind=TaskKind.REMOVE, account=account, repo=file.repo, path=file.path)
    return removals.filter(lease_expires_at__gt=now()).exists()


def _write_down(file: StoredFile, account: StorageAccount, found: StoredObject) -> None:
    """As the upload stage's record_replica does."""
    Replica.objects.filter(account=account, stored_file__repo=file.repo, stored_file__path=file.path).exclude(
        stored_file=file
    ).delete()
    Replica.objects.update_or_create(
        stored_file=file, account=account, defaults={"etag": found.etag, "verified_at": Now()}
    )
    Orphan.objects.filter(account=account, repo=file.repo, path=file.path).delete()
    well = StorageAccount.objects.filter(pk=account.pk, pause_count__gt=0)
    well.update(pause_count=0, paused_until=None, pause_reason="")
    record("copied", f"{file.path} was copied to account {account}.", account=account.index, file=file)


def _paused(account: StorageAccount) -> bool:
    return account.paused_until is not None and account.paused_until > now()
