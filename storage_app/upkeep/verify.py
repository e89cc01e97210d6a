"""Reads copies back: one that is good gets its date, one that isn't is replaced from a good one."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.timezone import now

from storage_app.models import Replica, StorageTask
from storage_app.upkeep import scrub
from storage_app.upkeep.lease import Beat, Postpone
from storage_app.upkeep.losses import condemn, require_quiet
from storage_app.upkeep.reading import Finding, look_and_touch, read_back


def verify(task: StorageTask, beat: Beat) -> None:
    """Task: the copy of a file, or whatever should lie at a place, on an account. Raises Postpone, NeedsPerson and
    StorageError."""
    for replica in _subjects(task):
        require_quiet(replica.stored_file)
        beat.expect(replica.stored_file.size)
        _charge(replica, task.actor)
        found = read_back(replica.stored_file, replica.account, beat.progress)
        conclude(replica, found, beat)


def verify_quickly(replica: Replica) -> Finding:
    """What the account says of the copy, and its last bytes; nothing is changed but the date of a good one."""
    found = look_and_touch(replica.stored_file, replica.account)
    if found.good:
        Replica.objects.filter(pk=replica.pk).update(verified_at=Now())
    return found


def conclude(replica: Replica, found: Finding, beat: Beat) -> None:
    """Writes down what reading back has shown."""
    if found.good:
        Replica.objects.filter(pk=replica.pk).update(verified_at=Now(), scrubbed_at=Now())
    else:
        condemn(replica, found, beat)


def _subjects(task: StorageTask) -> QuerySet[Replica]:
    replicas = Replica.objects.filter(account=task.account).select_related("stored_file", "account")
    if task.stored_file_id:
        return replicas.filter(stored_file=task.stored_file_id)
    return replicas.filter(stored_file__repo=task.repo, stored_file__path=task.path)


def _charge(replica: Replica, actor: str) -> None:
    """Whoever reads spends the account's budget for today; the scrub stops when it is spent. Raises Postpone."""
    size = replica.stored_file.size
    if actor != scrub.ACTOR:
        scrub.charge(replica.account, size)
    elif not scrub.spend(replica.account, size):
        raise Postpone("Today's scrub budget of this account is spent.", until=_tomorrow())


def _tomorrow() -> datetime:
    return (now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
