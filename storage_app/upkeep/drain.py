"""Moves copies off accounts that are being drained, and retires those that are empty."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils.timezone import now

from storage_app.models import AccountKind, Replica, StorageAccount, StorageTask, StoredFile, TaskKind
from storage_app.placement import reserved_bytes
from storage_app.upkeep import primary, scrub
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat, Postpone
from storage_app.upkeep.reading import Finding, look, read_back
from storage_app.upkeep.target import Target
from storage_app.upkeep.tasks import ask_for

READ_BACK_WITHIN = timedelta(days=30)
"""Before copies are given up, one of those that stay was read from end to end so lately."""


def leave(file: StoredFile, target: Target, beat: Beat) -> None:
    """Removes the file's copies on draining accounts, if all the others were confirmed just now, and one of them by
    reading it. Raises Postpone, StorageError."""
    leaving = list(file.replicas.filter(account__draining=True).select_related("account"))
    if not leaving:
        return
    staying = list(file.replicas.filter(account__in=target.accounts).select_related("account", "stored_file"))
    if not staying or len(staying) < min(target.wanted, len(target.accounts)):
        raise Postpone("A draining account has a copy that no other account could take yet.", timedelta(minutes=10))
    _require_good(file, staying, beat)
    for replica in leaving:
        _give_up(replica)
        retire_if_empty(replica.account)


def retire_if_empty(account: StorageAccount) -> bool:
    """A draining account is retired when it has no copies, nothing that is still to be removed, and no job counts on
    it any more."""
    if Replica.objects.filter(account=account).exists():
        return False
    if StorageTask.objects.filter(kind=TaskKind.REMOVE, account=account).exists():
        return False
    if account.pk in reserved_bytes():
        return False
    draining = StorageAccount.objects.filter(pk=account.pk, draining=True, retired_at=None)
    if not draining.update(draining=False, retired_at=Now()):
        return False
    record("retired", f"Account {account} is empty and retired: its copies are on the others.", account=account.index)
    return True


def retire_empty() -> int:
    """Retire the draining accounts that are empty by now; how many."""
    return sum(retire_if_empty(account) for account in StorageAccount.objects.filter(draining=True))


def _require_good(file: StoredFile, staying: list[Replica], beat: Beat) -> None:
    for replica in staying:
        beat.check()
        _insist(replica, look(file, replica.account))
    if not any(_was_read(replica) for replica in staying):
        replica = staying[0]
        beat.next_step()
        scrub.charge(replica.account, file.size)
        _insist(replica, read_back(file, replica.account, beat.progress))
        Replica.objects.filter(pk=replica.pk).update(verified_at=Now(), scrubbed_at=Now())


def _was_read(replica: Replica) -> bool:
    """Not long ago, or just now: looking at a copy in a folder means to read it."""
    lately = replica.scrubbed_at is not None and replica.scrubbed_at > now() - READ_BACK_WITHIN
    return lately or replica.account.kind == AccountKind.LOCAL


def _insist(replica: Replica, found: Finding) -> None:
    """Raises Postpone unless it is good; it is looked after then."""
    if not found.good:
        ask_for(
            TaskKind.VERIFY,
            stored_file=replica.stored_file,
            account=replica.account,
            reason=f"Found that {found.text}.",
        )
        raise Postpone(f"The copy on account {replica.account} is no good: {found.text}.", timedelta(minutes=1))


def _give_up(replica: Replica) -> None:
    file, account = replica.stored_file, replica.account
    with transaction.atomic():
        replica.delete()
        ask_for(TaskKind.REMOVE, account=account, repo=file.repo, path=file.path, reason="Its account is drained.")
        record("moved", f"{file.path} was moved off account {account}.", account=account.index, file=file)
        primary.follow(file)
