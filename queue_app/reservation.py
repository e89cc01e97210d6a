"""Room on the storage accounts for the jobs in work, so that two of them don't count on the same bytes."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now

from queue_app import queue
from queue_app.failures import Cancelled, StorageFull
from queue_app.heartbeat import INTERRUPT, Heartbeat
from queue_app.models import VideoQueue
from queue_app.queue import Lease
from queue_app.send_ahead import SendAhead
from storage_app.backends import backend_for
from storage_app.backends.base import Backend, StorageError
from storage_app.models import AccountKind, StorageAccount
from storage_app.placement import Placement, place
from storage_app.upload import AT_ONCE

log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_MIB = 1024 * 1024


def place_and_reserve(lease: Lease, works: Iterable[int], size: int, have: Collection[int] = ()) -> Placement:
    """Where the job's file of `size` bytes is to lie, and that much noted on each account that is yet to get it now.

    What the job had reserved before is replaced; it ends with the job's work. Raises Cancelled when the lease was lost,
    and StorageUnavailableError when there is no account.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # One at a time: each answer rests on what the others have reserved.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('storage_reservation'))")
        placement = place(works, size, have=have, job=lease.job_id)
        lacking = {account.index for account in placement.accounts} - set(have) - placement.full
        if not queue.reserve_storage(lease, sorted(lacking), size):
            raise Cancelled(f"Job {lease.job_id} was taken from this worker.")
    return placement


class Booking:
    """Room for what a download will bring, from the moment that its size is known.

    `progress` goes between the download and its heartbeat. While the database can't be reached it does without, and
    tries again.
    """

    def __init__(self, job: VideoQueue, lease: Lease, heartbeat: Heartbeat, ahead: SendAhead | None) -> None:
        self._work, self._lease, self._heartbeat, self._ahead = job.mal_id, lease, heartbeat, ahead
        self._size = 0
        self._look_at = 0.0

    def progress(self, done: int, total: int | None) -> None:
        """A ProgressSink. Raises StorageFull when too few accounts have room for the video to become ready, and
        Cancelled."""
        self._heartbeat.progress(done, total)
        if not total or time.monotonic() < self._look_at:
            return
        if total != self._size:
            self.reserve(total, refuse=done < total)
        elif self._ahead is not None:
            self._quietly(self._leave_who_rests)
            self._look_at = time.monotonic() + _LOOK_SECONDS

    def reserve(self, size: int, *, refuse: bool = False) -> None:
        """Reserve so many bytes, or fewer or more than before. Raises StorageFull if asked to `refuse`, Cancelled."""
        if size != self._size:
            self._quietly(lambda: self._reserve(size, refuse=refuse))

    def _reserve(self, size: int, *, refuse: bool) -> None:
        try:
            placement = place_and_reserve(self._lease, [self._work], size)
        except StorageError as error:
            if refuse:
                raise StorageFull(str(error)) from error
            log.info("Nothing is reserved: %s", error)  # the upload will say so
        else:
            if refuse and not placement.fits:
                raise StorageFull(
                    f"The video has {size / _MIB:,.0f} MiB, and too few accounts have room for it. Free some space, "
                    "raise a limit or add an account; the job goes on by itself."
                )
            if self._ahead is not None:
                self._ahead.send_to(_backends_of(placement))
        self._size = size

    def _leave_who_rests(self) -> None:
        resting = StorageAccount.objects.filter(paused_until__gt=Now()).values_list("index", flat=True)
        if self._ahead is not None:
            self._ahead.leave(list(resting))

    def _quietly(self, ask: Callable[[], None]) -> None:
        try:
            with _uninterrupted():
                ask()
        except (OperationalError, InterfaceError) as error:
            log.warning("The storage accounts can't be looked up (%s), trying again.", type(error).__name__)
            connection.close()
            self._look_at = time.monotonic() + _LOOK_SECONDS


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """The heartbeat's signal waits until the end: in the middle of a transaction it would break the connection."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {INTERRUPT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _backends_of(placement: Placement) -> dict[int, Backend]:
    """Who can be sent to while the file grows. Of Hugging Face accounts only the first: the others will have it from
    there."""
    hub = [account for account in placement.open if account.kind == AccountKind.HUGGINGFACE]
    others = [account for account in placement.open if account.kind != AccountKind.HUGGINGFACE]
    found: dict[int, Backend] = {}
    for account in [*hub[:1], *others[:AT_ONCE]]:
        try:
            found[account.index] = backend_for(account)
        except StorageError as error:
            log.info("Nothing is sent ahead to account %s. %s", account, error)
    return found
