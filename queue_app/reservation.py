"""Room on the storage accounts for the jobs in work, so that two of them don't count on the same bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import connection, transaction

from queue_app import queue
from queue_app.failures import Cancelled
from queue_app.queue import Lease
from storage_app.placement import Placement, place


def place_and_reserve(lease: Lease, works: Iterable[int], size: int, have: Collection[int] = ()) -> Placement:
    """Where the job's file of `size` bytes is to lie, and that much noted on each account that doesn't hold it yet.

    What the job had reserved before is replaced; it ends with the job's work. Raises Cancelled when the lease was lost,
    and StorageUnavailableError when there is no account.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # One at a time: each answer rests on what the others have reserved.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('storage_reservation'))")
        placement = place(works, size, have=have, job=lease.job_id)
        lacking = [account.index for account in placement.accounts if account.index not in have]
        if not queue.reserve_storage(lease, lacking, size):
            raise Cancelled(f"Job {lease.job_id} was taken from this worker.")
    return placement
