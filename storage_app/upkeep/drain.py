"""Moves copies off accounts that are being drained, and retires those that are empty."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from storage_app.models import Replica, StorageAccount, StorageTask, StoredFile, TaskKind
from storage_app.upkeep import primary
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat, Postpone
from storage_app.upkeep.reading import look
from storage_app.upkeep.target import Target
from storage_app.upkeep.tasks import ask_for


def leave(file: StoredFile, target: Target, beat: Beat) -> None:
    """Removes the file's copies on draining accounts, if all the others were confirmed just now. Raises Postpone,
    StorageError."""
    leaving = list(file.replicas.filter(account__draining=True).select_related("account"))
    if not leaving:
        return
    staying = list(file.replicas.filter(account__in=target.accounts).select_related("account"))
    if not staying or len(staying) < min(target.wanted, len(target.accounts)):
        raise Postpone("A draining account has a copy that no other account could take yet.", timedelta(minutes=10))
    _require_good(file, staying, beat)
    for replica in leaving:
        _give_up(replica)
        retire_if_empty(replica.account)


def retire_if_empty(account: StorageAccount) -> bool:
    """A draining account without copies, and without objects that are still to be removed, is retired."""
    if Replica.objects.filter(account=account).exists():
        return False
    if StorageTask.objects.filter(kind=TaskKind.REMOVE, account=account).exists():
        return False
    draining = StorageAccount.objects.filter(pk=account.pk, draining=True, retired_at=None)
    if not draining.update(draining=False, retired_at=Now()):
        return False
    record("retired", f"Account {account} is empty and retired: its copies are on the others.", account=account.index)
    return True


def _require_good(file: StoredFile, staying: list[Replica], beat: Beat) -> None:
    for replica in staying:
        beat.check()
        found = look(file, replica.account)
        if not found.good:
            ask_for(TaskKind.VERIFY, stored_file=file, account=replica.account, reason=f"Found that {found.text}.")
            raise Postpone(f"The copy on account {replica.account} is no good: {found.text}.", timedelta(minutes=1))


def _give_up(replica: Replica) -> None:
    file, account = replica.stored_file, replica.account
    with transaction.atomic():
        replica.delete()
        ask_for(TaskKind.REMOVE, account=account, repo=file.repo, path=file.path, reason="Its account is drained.")
        record("moved", f"{file.path} was moved off account {account}.", account=account.index, file=file)
        primary.follow(file)
