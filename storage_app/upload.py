"""Sends the files of a video to several accounts at once.

Each account gets all its files in one call. Hugging Face accounts share what they store: once the first of them has
everything, the others are sent almost nothing, but started together with it each would be sent every byte, and would
take its memory. So the first goes alone, and the others after it two at a time. Accounts of other kinds go beside them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from storage_app.backends.base import Backend, FileToPut, StorageUnavailableError, StoredObject
from storage_app.models import AccountKind, StorageAccount

AT_ONCE = 4
"""Accounts other than Hugging Face's that are sent to at the same time."""
HUGGINGFACE_AT_ONCE = 2
_TICK_SECONDS = 0.2
_END_SECONDS = 5.0
"""So long is waited for transfers that were told to stop; what hangs longer ends by itself, unheard."""
_READ_BACK_RATE = 50_000_000
"""Bytes per second, at least, at which an account that has everything looks at it once more."""


@dataclass(frozen=True)
class Order:
    """What one account is to be given."""

    account: StorageAccount
    backend: Backend
    files: tuple[FileToPut, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Outcome:
    """How one account's order ended: `stored` says what each file is there, in their order, or `error` why not."""

    order: Order
    stored: tuple[StoredObject, ...] = ()
    error: Exception | None = None


class TransferStopped(Exception):
    """The transfer isn't wanted any more."""


class Uploads:
    """A context manager to iterate over: the outcome of each order as soon as it is known, in the caller's thread.

    One account that fails leaves the others alone. One from which nothing is heard for `patience` seconds is given up:
    its outcome is a StorageUnavailableError, whatever it may still do. `progress` gets (bytes sent, bytes to send) over
    all accounts several times a second in the caller's thread; `check` is called in the transfers' own. What either
    raises stops everything at once. `warm` says that a Hugging Face account has the files already.
    """

    def __init__(
        self,
        orders: Sequence[Order],
        *,
        progress: Callable[[int, int], None],
        check: Callable[[], None],
        patience: float,
        warm: bool = False,
    ) -> None:
        self._progress, self._check, self._patience, self._warm = progress, check, patience, warm
        self._hub = [order for order in orders if order.account.kind == AccountKind.HUGGINGFACE]
        self._others = [order for order in orders if order.account.kind != AccountKind.HUGGINGFACE]
        self._running: list[_Transfer] = []
        self._over: list[_Transfer] = []
        self._ended: queue.SimpleQueue[_Transfer] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transfer in self._running:
            transfer.stop()
        deadline = time.monotonic() + _END_SECONDS
        for transfer in self._running:
            transfer.join(max(0.0, deadline - time.monotonic()))

    def __iter__(self) -> Iterator[Outcome]:
        self._start_due()
        while self._running:
            ended = self._next_ended()
            self._report()
            for transfer in ended:
                self._put_by(transfer)
                yield transfer.outcome
            for transfer in [transfer for transfer in self._running if transfer.is_stalled(self._patience)]:
                transfer.stop()
                self._put_by(transfer)
                yield Outcome(transfer.order, error=_stalled(transfer, self._patience))
            self._start_due()

    def _start_due(self) -> None:
        hub = sum(transfer.is_hub for transfer in self._running)
        while self._hub and hub < (HUGGINGFACE_AT_ONCE if self._warm else 1):
            self._start(self._hub.pop(0))
            hub += 1
        others = len(self._running) - hub
        while self._others and others < AT_ONCE:
            self._start(self._others.pop(0))
            others += 1

    def _start(self, order: Order) -> None:
        transfer = _Transfer(order, self._check, self._ended)
        self._running.append(transfer)
        transfer.start()

    def _next_ended(self) -> list[_Transfer]:
        """What has ended and hadn't been given up before; waits a moment for it."""
        try:
            transfer = self._ended.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            return []
        return [transfer] if transfer in self._running else []

    def _put_by(self, transfer: _Transfer) -> None:
        self._running.remove(transfer)
        self._over.append(transfer)
        if transfer.is_hub and transfer.outcome.stored:
            self._warm = True

    def _report(self) -> None:
        transfers = [*self._over, *self._running]
        waiting = sum(order.size for order in (*self._hub, *self._others))
        # Of what failed, no more is to be sent.
        failed = [transfer for transfer in self._over if not transfer.outcome.stored]
        total = waiting + sum(t.sent if t in failed else t.order.size for t in transfers)
        self._progress(sum(t.sent for t in transfers), total)


class _Transfer:
    """One account's order, in a thread of its own."""

    def __init__(self, order: Order, check: Callable[[], None], ended: queue.SimpleQueue[_Transfer]) -> None:
        self.order, self.sent = order, 0
        self.outcome = Outcome(order)
        self._check, self._ended = check, ended
        self._heard_at = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"upload-{order.account.index}", daemon=True)

    @property
    def is_hub(self) -> bool:
        """Does it go to a Hugging Face account?"""
        return self.order.account.kind == AccountKind.HUGGINGFACE

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Have it end at its next step."""
        self._stopped.set()

    def join(self, seconds: float) -> None:
        """Wait for its end, at most so long."""
        self._thread.join(seconds)

    def is_stalled(self, patience: float) -> bool:
        """Has nothing been heard of it for too long?"""
        size = self.order.size
        if self.sent >= size:
            patience += size / _READ_BACK_RATE
        return time.monotonic() - self._heard_at > patience

    def _run(self) -> None:
        try:
            stored = self.order.backend.put(self.order.files, self._moved)
            self.sent = self.order.size
            self.outcome = Outcome(self.order, stored=tuple(stored))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is this account's outcome and nobody else's
            self.outcome = Outcome(self.order, error=error)
        self._ended.put(self)

    def _moved(self, sent: int) -> None:
        self.sent, self._heard_at = sent, time.monotonic()
        if self._stopped.is_set():
            raise TransferStopped
        self._check()


def _stalled(transfer: _Transfer, patience: float) -> StorageUnavailableError:
    account = transfer.order.account
    return StorageUnavailableError(
        f"Account {account} took no more bytes for {patience:.0f} s, after {transfer.sent} of {transfer.order.size}. "
        "It is given up for this time."
    )
