"""Reads every copy back again and again, the one looked at longest ago first, within a daily budget an account."""

from __future__ import annotations

from datetime import date, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import F, Q, Sum
from django.utils.timezone import now

from storage_app.models import Replica, ScrubDay, StorageAccount, StorageTask, TaskKind
from storage_app.upkeep.tasks import ask_for

ACTOR = "scrub"
AT_ONCE = 50
"""Copies of an account that are asked for at a time; the next round comes within minutes."""


def ask() -> int:
    """Asks for what fits into what is left of today's budgets; how many copies."""
    accounts = StorageAccount.objects.filter(retired_at=None).exclude(paused_until__gt=now())
    return sum(_ask_of(account) for account in accounts)


def budget(account: StorageAccount) -> int:
    """Bytes a day; 0: its copies aren't scrubbed."""
    own: int | None = account.scrub_bytes
    return int(settings.SCRUB_BYTES_PER_DAY) if own is None else own


def spent(account: StorageAccount) -> int:
    """Bytes that were read back today, or charged to today."""
    return ScrubDay.objects.filter(account=account, day=_today()).aggregate(n=Sum("size"))["n"] or 0


def spend(account: StorageAccount, size: int) -> bool:
    """Charge `size` bytes if today's budget still holds them; False when it doesn't.

    A copy larger than a whole day's budget is read on a day of which nothing is spent, and charged to the days after it
    as well.
    """
    daily = budget(account)
    if daily <= 0:
        return False
    limit = daily - min(size, daily)
    first = min(size, daily)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO scrub_day AS d (account_id, day, size) VALUES (%s, %s, %s)"
            " ON CONFLICT ON CONSTRAINT scrub_day_once DO UPDATE SET size = d.size + excluded.size"
            " WHERE d.size <= %s RETURNING 1",
            [account.pk, _today(), first, limit],
        )
        if not cursor.fetchall():
            return False
    _charge_following(account, size - first, daily)
    return True


def charge(account: StorageAccount, size: int) -> None:
    """Charge bytes that were read back anyway to today."""
    _add(account, _today(), size)


def forget_old_days() -> int:
    """Days gone by are not needed any more; how many went."""
    return ScrubDay.objects.filter(day__lt=_today() - timedelta(days=7)).delete()[0]


def _ask_of(account: StorageAccount) -> int:
    waiting = StorageTask.objects.filter(kind=TaskKind.VERIFY, account=account, actor=ACTOR)
    asked = waiting.aggregate(n=Sum("stored_file__size"))["n"] or 0
    daily = budget(account)
    left = daily - spent(account) - asked
    number = 0
    for replica in _oldest(account) if daily > 0 else ():
        size = replica.stored_file.size
        if left < min(size, daily):
            break
        left -= size
        number += 1
        ask_for(
            TaskKind.VERIFY, stored_file=replica.stored_file, account=account, actor=ACTOR,
            reason="It was read back longest ago.",
        )  # fmt: skip
    return number


def _oldest(account: StorageAccount) -> list[Replica]:
    """Not those that were read back within a day, nor those that somebody looks at already."""
    due = Replica.objects.filter(account=account).filter(
        Q(scrubbed_at=None) | Q(scrubbed_at__lt=now() - timedelta(days=1))
    )
    asked = StorageTask.objects.filter(kind=TaskKind.VERIFY, account=account, stored_file__isnull=False)
    due = due.exclude(stored_file__in=asked.values("stored_file_id")).select_related("stored_file")
    return list(due.order_by(F("scrubbed_at").asc(nulls_first=True))[:AT_ONCE])


def _charge_following(account: StorageAccount, left: int, daily: int) -> None:
    day = _today()
    while left > 0 and day < _today() + timedelta(days=365):
        day += timedelta(days=1)
        _add(account, day, min(left, daily))
        left -= daily


def _add(account: StorageAccount, day: date, size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO scrub_day AS d (account_id, day, size) VALUES (%s, %s, %s)"
            " ON CONFLICT ON CONSTRAINT scrub_day_once DO UPDATE SET size = d.size + excluded.size",
            [account.pk, day, size],
        )


def _today() -> date:
    return now().date()
