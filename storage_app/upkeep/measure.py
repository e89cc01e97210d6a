"""Asks accounts how full they are, keeps the figures, and wakes those that have room again."""

from __future__ import annotations

import logging
import re

from django.db.models import Sum
from django.db.models.functions import Now
from django.utils.timezone import now

from storage_app.backends.base import Capacity
from storage_app.models import CapacitySample, Replica, Reservation, StorageAccount, StorageTask, TaskKind
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat
from storage_app.upkeep.reading import naming
from storage_app.upkeep.tasks import FULL_REASONS, ask_for

log = logging.getLogger(__name__)

ROOM_BYTES = 1024**3
"""So much has to be free, beside what is reserved, before an account that was full is woken (or 1 % of its limit)."""


def measure(task: StorageTask, beat: Beat) -> None:
    """Task: one account. Raises StorageError."""
    account = task.account
    if account is None:
        return
    beat.check()
    with naming(account) as backend:
        capacity = backend.capacity()
    beat.check()
    reserved = Reservation.objects.filter(account=account).aggregate(n=Sum("size"))["n"] or 0
    free = free_bytes(account, capacity)
    CapacitySample.objects.create(
        account=account,
        used_bytes=capacity.used,
        reserved_bytes=reserved,
        free_bytes=free,
        files=Replica.objects.filter(account=account).count() if capacity.files is None else capacity.files,
    )
    StorageAccount.objects.filter(pk=account.pk).update(used_bytes=capacity.used, free_bytes=free, measured_at=Now())
    if free is not None and free - reserved >= _room(account):
        _wake(account, free)


def measure_all() -> int:
    """Ask for a measurement of every account that isn't retired; how many."""
    accounts = StorageAccount.objects.filter(retired_at=None)
    return len([ask_for(TaskKind.MEASURE, account=account, reason="It is time.") for account in accounts])


def free_bytes(account: StorageAccount, capacity: Capacity) -> int | None:
    """What may still be stored: the smaller of the account's own figure and the operator's limit; None: unknown."""
    by_limit = None if account.limit_bytes is None else max(account.limit_bytes - capacity.used, 0)
    known = [free for free in (capacity.free, by_limit) if free is not None]
    return min(known, default=None)


def _room(account: StorageAccount) -> int:
    return ROOM_BYTES if account.limit_bytes is None else min(ROOM_BYTES, account.limit_bytes // 100)


def _wake(account: StorageAccount, free: int) -> None:
    """Only from a pause for want of room: another reason isn't mended by room."""
    if account.paused_until is None or account.paused_until <= now():
        return
    if not re.search(FULL_REASONS, account.pause_reason, re.IGNORECASE):
        return
    paused = StorageAccount.objects.filter(pk=account.pk, pause_reason=account.pause_reason)
    if paused.update(paused_until=None, pause_reason="", pause_count=0):
        text = f"Account {account} was full and has {free} bytes free again; it is used at once."
        record("room_again", text, account=account.index)
