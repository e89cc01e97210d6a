"""Brings the files of a job to the accounts that are to hold them, and writes down what each has confirmed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from queue_app import queue
from queue_app.failures import Cancelled
from queue_app.heartbeat import Heartbeat
from queue_app.patience import through_outages
from queue_app.queue import Lease, Place
from queue_app.reservation import place_and_reserve
from queue_app.source_check import SourceCheck
from storage_app.backends import backend_for
from storage_app.backends.base import (
    ContentMismatchError,
    FileTooLargeError,
    FileToPut,
    StorageError,
    StorageFullError,
    StorageRateError,
    StorageUnavailableError,
)
from storage_app.models import AccountKind, Replica, StorageAccount, StorageTask, StoredFile, TaskKind, VideoStore
from storage_app.placement import Placement
from storage_app.upkeep import events
from storage_app.upkeep.tasks import ask_for
from storage_app.upload import Order, Outcome, Uploads

log = logging.getLogger(__name__)

_REMOVAL_SECONDS = 0.5
STALLED_AFTER = 3
"""Times STORAGE_TIMEOUT: an account that takes nothing for so long is given up for this time."""


@dataclass(frozen=True)
class FileToStore:
    """A file of the job, where it is to lie, and what it is: sha256, size, and if it has them content_type, media and
    proof."""

    source: Path
    place: Place
    content: Mapping[str, Any] = field(compare=False)

    def to_put(self) -> FileToPut:
        """For a backend."""
        content_type = self.content.get("content_type", "video/mp4")
        sha256, size = self.content["sha256"], self.content["size"]
        return FileToPut(self.source, self.place.repo, self.place.path, sha256, size, content_type)

    def copies(self) -> Q:
        """Its confirmed copies, among the replicas."""
        place, sha256 = self.place, self.content["sha256"]
        return Q(stored_file__repo=place.repo, stored_file__path=place.path, stored_file__sha256=sha256)

    def stored(self) -> StoredFile:
        """Its row, once a first copy was confirmed."""
        return StoredFile.objects.get(repo=self.place.repo, path=self.place.path, sha256=self.content["sha256"])


class Copying:
    """One job's upload. An account that fails is paused, and nothing more is sent to it by this job's attempt."""

    def __init__(self, lease: Lease, heartbeat: Heartbeat, work: int) -> None:
        self._lease, self._heartbeat, self._work = lease, heartbeat, work
        self._failed: dict[int, Exception] = {}
        self._sources = SourceCheck(heartbeat.check)

    def bring(self, files: Sequence[FileToStore]) -> Placement:
        """Bring a video (the first file) and what goes with it to the accounts of its placement.

        Where an account fails, the next best one of the policy takes its place, if there is one. Returns when each has
        confirmed its copies or is left for later, and at least the policy's minimum has everything. Raises Cancelled,
        ArtifactLost, and below the minimum the StorageError (or whatever else it was) of the account to wait for, or
        StorageFullError of none when none has room.
        """
        tried: set[int] = set()
        while True:
            self._let_removals_end(files)
            held = through_outages(lambda: _held(files))
            placement = self._place(files, held)
            due = [a for a in placement.open if a.index not in tried and held.get(a.index) != set(files)]
            if not due:
                break
            tried.update(account.index for account in due)
            self._send(files, due, held, placement.wanted, shown=True)
        whole = [account for account in placement.accounts if held.get(account.index) == set(files)]
        if len(whole) < placement.minimum:
            raise self._what_to_wait_for(placement, whole)
        return placement

    def add(self, file: FileToStore, accounts: Iterable[StorageAccount], wanted: int) -> None:
        """Bring one small file more to these accounts. Raises what `bring` raises if not one of them takes it."""
        accounts = list(accounts)
        self._let_removals_end([file])
        held = through_outages(lambda: _held([file]))
        closed = {*held, *self._failed, *through_outages(lambda: set(_resting().values_list("index", flat=True)))}
        due = [account for account in accounts if account.index not in closed]
        self._send([file], due, held, wanted, shown=False)
        if not through_outages(Replica.objects.filter(file.copies(), account__enabled=True).exists):
            raise self._what_to_wait_for(Placement(tuple(accounts), wanted, 1), [])

    def leave_the_rest(self, files: Sequence[FileToStore], placement: Placement) -> None:
        """Have the upkeep of the store bring what accounts of the placement still lack."""
        for file in files:
            through_outages(lambda file=file: _leave_the_rest(file, placement))  # type: ignore[misc]

    def _place(self, files: Sequence[FileToStore], held: Mapping[int, set[FileToStore]]) -> Placement:
        media, size = files[0], sum(file.content["size"] for file in files)
        have = [index for index, what in held.items() if media in what]

        def reserve() -> Placement:
            sharing = VideoStore.objects.filter(
                stored_file__repo=media.place.repo,
                stored_file__path=media.place.path,
                stored_file__sha256=media.content["sha256"],
            )
            works = {self._work, *sharing.values_list("mal_id", flat=True)}
            return place_and_reserve(self._lease, works, size, have)

        try:
            return through_outages(reserve)
        except StorageUnavailableError as error:
            # Nobody is in use: like having no room, that is the operator's to change and burns no attempt.
            raise StorageFullError(str(error)) from error

    def _let_removals_end(self, files: Sequence[FileToStore]) -> None:
        """What is being removed from these repositories at this moment may be what is to be stored: an account would
        say that it has it, and lose it then. A removal that begins later sees this job and waits. Raises Cancelled."""
        repos = {file.place.repo for file in files}
        removing = StorageTask.objects.filter(kind=TaskKind.REMOVE, lease_expires_at__gt=Now(), repo__in=repos)
        while through_outages(removing.exists):
            self._heartbeat.check()
            time.sleep(_REMOVAL_SECONDS)

    def _send(
        self,
        files: Sequence[FileToStore],
        accounts: Iterable[StorageAccount],
        held: Mapping[int, set[FileToStore]],
        wanted: int,
        *,
        shown: bool,
    ) -> None:
        lacking = {a.index: [file for file in files if file not in held.get(a.index, ())] for a in accounts}
        self._sources.begin(file.to_put() for some in lacking.values() for file in some)
        uploads = Uploads(
            self._orders(accounts, lacking),
            progress=self._heartbeat.progress if shown else lambda _sent, _total: self._heartbeat.check(),
            check=self._heartbeat.check,
            patience=STALLED_AFTER * settings.STORAGE_TIMEOUT,
            warm=through_outages(lambda: _known_to_hub(files)),
        )
        with uploads:
            for outcome in uploads:
                given = lacking[outcome.order.account.index]
                if outcome.error is None or isinstance(outcome.error, ContentMismatchError | OSError):
                    self._sources.require_true(file.to_put() for file in given)
                if outcome.error is None:
                    self._record(outcome, given, wanted)
                else:
                    self._note(outcome.order.account, outcome.error, given[0].place)

    def _orders(self, accounts: Iterable[StorageAccount], lacking: Mapping[int, Sequence[FileToStore]]) -> list[Order]:
        orders = []
        for account in accounts:
            files = lacking[account.index]
            try:
                backend = through_outages(lambda account=account: backend_for(account))  # type: ignore[misc]
            except StorageError as error:
                self._note(account, error, files[0].place)
            else:
                orders.append(Order(account, backend, tuple(file.to_put() for file in files)))
        return orders

    def _record(self, outcome: Outcome, files: Sequence[FileToStore], wanted: int) -> None:
        for file, stored in zip(files, outcome.stored, strict=True):
            account, etag = outcome.order.account.index, stored.etag

            def record(file: FileToStore = file, account: int = account, etag: str = etag) -> UUID | None:
                return queue.record_replica(
                    self._lease, account, file.place, file.content, etag=etag, copies_wanted=wanted
                )

            if through_outages(record) is None:
                raise Cancelled("The job was taken from this worker during its upload.")

    def _note(self, account: StorageAccount, error: Exception, place: Place) -> None:
        """Write down that an account failed, and send it to rest if it is to blame. Raises Cancelled if it is that."""
        if isinstance(error, Cancelled):
            raise error
        # Without the lease it may be another task at the same path that is in the way, and no fault of the account's.
        self._heartbeat.check()
        self._failed[account.index] = error
        why = str(error)
        if isinstance(error, FileTooLargeError):
            error.account = None  # for smaller files it is as good as ever
        elif isinstance(error, StorageError):
            error.account = account.index
            seconds = error.retry_after if isinstance(error, StorageRateError) else None
            through_outages(lambda: queue.pause_account(account.index, why, seconds))
        else:
            why = f"Unexpected {type(error).__name__}. The worker's log has the details; please report it."
            log.error("Account %s: %s", account, why, exc_info=error)
        text = f"Account {account} did not take {place.repo}/{place.path}. {why}"
        through_outages(lambda: events.record("put_failed", text, account=account.index))

    def _what_to_wait_for(self, placement: Placement, whole: Sequence[StorageAccount]) -> Exception:
        """The failure of the account among those that are missing whose rest ends first."""
        indexes = {a.index for a in placement.accounts} - {a.index for a in whole} - placement.full
        account = through_outages(_resting().filter(index__in=indexes).order_by("paused_until").first)
        so_far = f"{len(whole)} of {placement.minimum} copies are confirmed. " if placement.minimum > 1 else ""
        if account is None:
            if unexpected := [error for index, error in self._failed.items() if index in indexes]:
                return unexpected[0]
            return StorageFullError(
                f"{so_far}No account has room for the video. Free some space, raise a limit or add an account; "
                "the job goes on by itself."
            )
        cause = self._failed.get(account.index)
        kind = type(cause) if isinstance(cause, StorageError) else StorageUnavailableError
        error = kind(f"{so_far}{cause or f'Account {account} rests. {account.pause_reason}'}")
        error.account, error.__cause__ = account.index, cause
        return error


def _held(files: Sequence[FileToStore]) -> dict[int, set[FileToStore]]:
    """Which of the files each account in use has confirmed."""
    held: dict[int, set[FileToStore]] = {}
    for file in files:
        accounts = Replica.objects.filter(file.copies(), account__enabled=True).values_list("account_id", flat=True)
        for index in accounts:
            held.setdefault(index, set()).add(file)
    return held


def _resting() -> QuerySet[StorageAccount]:
    return StorageAccount.objects.filter(paused_until__gt=Now())


def _known_to_hub(files: Sequence[FileToStore]) -> bool:
    return Replica.objects.filter(files[0].copies(), account__kind=AccountKind.HUGGINGFACE).exists()


def _leave_the_rest(file: FileToStore, placement: Placement) -> None:
    stored = file.stored()
    if stored.copies_wanted != placement.wanted:
        StoredFile.objects.filter(pk=stored.pk).update(copies_wanted=placement.wanted)
    have = set(stored.replicas.values_list("account_id", flat=True))
    lacking = [str(account.index) for account in placement.accounts if account.index not in have]
    if lacking:
        reason = f"Account {', '.join(lacking)} could not take it when the video was archived."
        ask_for(TaskKind.REPLICATE, stored_file=stored, reason=reason)
