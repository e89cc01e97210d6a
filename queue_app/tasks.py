"""Chores: what has to be done now and then, on one host at a time. django-q2 runs them by its schedules, which are
visible in the admin.

What must not wait for a chore is done by every worker itself, every few seconds: taking back expired leases, removing
files that belong to no job (queue_app/worker.py). What has to be done at the store is only asked for here: the keepers
do it (storage_app/upkeep), and what changes of accounts and policies call for they notice by themselves.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from queue_app import queue, repair
from queue_app.idempotency import KEPT
from queue_app.models import RememberedAnswer, Worker
from storage_app import deletion, retention
from storage_app.upkeep import drain, history, scrub
from storage_app.upkeep.measure import measure_all
from storage_app.upkeep.reconcile import reconcile_all

log = logging.getLogger(__name__)

BATCH = 1000
MEDIA_JOBS_KEPT = timedelta(days=30)
WORKERS_KEPT = timedelta(days=30)


def fold_totals() -> int:
    """Keep the totals' table small; the number of rows saved."""
    return queue.fold_queue_totals()


def purge() -> int:
    """Remove history older than RETENTION_EVENTS_DAYS, and jobs that ended longer than RETENTION_ENDED_DAYS ago (0:
    keep them), in batches; the number of rows removed."""
    events = timedelta(days=settings.RETENTION_EVENTS_DAYS)
    ended = timedelta(days=settings.RETENTION_ENDED_DAYS) if settings.RETENTION_ENDED_DAYS else None
    removed = 0
    while batch := queue.purge_history(events, ended, BATCH):
        removed += batch
    return removed + queue.cleanup_old_transcoding_jobs(MEDIA_JOBS_KEPT)


def forget_workers() -> int:
    """Remove workers that were last heard of a month ago; how many."""
    removed, _ = Worker.objects.filter(last_heartbeat__lt=Now() - WORKERS_KEPT).delete()
    return removed


def forget_answers() -> int:
    """Remove answers whose Idempotency-Key may be used afresh, in batches; how many."""
    removed = 0
    while batch := list(RememberedAnswer.objects.filter(at__lt=Now() - KEPT).values_list("pk", flat=True)[:BATCH]):
        removed += RememberedAnswer.objects.filter(pk__in=batch).delete()[0]
    return removed


def measure_accounts() -> int:
    """Ask every account how full it is; how many."""
    return measure_all()


def reconcile_accounts() -> int:
    """Have what every account holds compared with the tables; how many."""
    return reconcile_all()


def scrub_copies() -> int:
    """Have the copies read back that were looked at longest ago, within the accounts' budgets; how many."""
    return scrub.ask()


def purge_store_history() -> int:
    """Remove the store's events that are older than RETENTION_EVENTS_DAYS, and thin out old measurements; how many."""
    return history.purge(timedelta(days=settings.RETENTION_EVENTS_DAYS), BATCH)


def move_on() -> int:
    """Have jobs end that stand still although all of theirs is stored, and retire drained accounts; how many."""
    return repair.hurry_stored() + repair.publish_stored() + drain.retire_empty()


def apply_retention() -> int:
    """Delete the videos that are older than an enabled rule lets them be; how many."""
    return sum(done.videos for done in retention.apply_all())


def remove_unused() -> int:
    """Have the copies removed of contents that no video uses; how many contents."""
    return deletion.remove_unused()
