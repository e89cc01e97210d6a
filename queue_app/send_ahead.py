"""Sends a file to the accounts while it is still being downloaded.

It is a head start, nothing more: the upload puts the file all the same, and has less to send. Whatever goes wrong here
is logged and dropped. Nothing of it can be seen on an account, so it needs no taking back either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from queue_app.patience import through_outages
from queue_app.queue import Place
from storage_app.backends import backend_for
from storage_app.backends.base import Backend, Stopped, StorageError
from storage_app.models import StorageAccount

log = logging.getLogger(__name__)

LINK = "ahead.mp4"
"""A second name of the growing file in its folder: it stays when the first one changes."""
_LAST_SECONDS = 10.0
_END_SECONDS = 2.0


class SendAhead:
    """A context manager, and the onlooker of one download (`downloaders.base.Onlooker`).

    On leaving, every transfer is told to stop and has a moment to do so. Only `reached` is called by other threads.
    """

    def __init__(self, folder: Path, place: Place) -> None:
        self._link, self._place = folder / LINK, place
        self._backends: dict[int, Backend] = {}
        self._growing: _Growing | None = None
        self._senders: list[_Sender] = []

    def __enter__(self) -> Self:
        self._link.unlink(missing_ok=True)  # an earlier attempt's, which was killed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(_END_SECONDS)

    def began(self, path: Path, container: str, size: int) -> None:
        """See Onlooker.began."""
        if self._growing is not None or container != "mp4":  # media.remux: only that is stored as it is
            return
        try:
            self._link.unlink(missing_ok=True)
            self._link.hardlink_to(path)
        except OSError as error:
            log.info("%s: nothing is sent ahead, a second name can't be given (%s).", path.name, error.strerror)
            return
        self._growing = _Growing(self._link, size)
        self._start(self._backends)

    def reached(self, front: int) -> None:
        """See Onlooker.reached."""
        if (growing := self._growing) is not None:
            growing.reached(front)

    def dropped(self) -> None:
        """See Onlooker.dropped."""
        self._end(_END_SECONDS)

    def send_to(self, backends: Mapping[int, Backend]) -> None:
        """Send to these accounts, by their index, from now on."""
        new = {index: backend for index, backend in backends.items() if index not in self._backends}
        self._backends.update(new)
        self._start(new)

    def leave(self, accounts: Collection[int]) -> None:
        """Send nothing more to these accounts: they were sent to rest."""
        for index in accounts:
            self._backends.pop(index, None)
        for sender in self._senders:
            if sender.account in accounts:
                sender.stop()

    def finish(self) -> None:
        """The upload takes over: end in an orderly way."""
        self._end(_LAST_SECONDS)

    def _start(self, backends: Mapping[int, Backend]) -> None:
        if self._growing is None:
            return
        for index, backend in backends.items():
            sender = _Sender(index, backend, self._growing, self._place)
            self._senders.append(sender)
            sender.start()

    def _end(self, seconds: float) -> None:
        senders, self._senders, self._growing = self._senders, [], None
        for sender in senders:
            sender.stop()
        deadline = time.monotonic() + seconds
        for sender in senders:
            sender.join(max(0.0, deadline - time.monotonic()))
        self._link.unlink(missing_ok=True)


def drop_ahead(place: Place) -> None:
    """Have the accounts in use forget what was sent ahead of a place. One that fails forgets it in some days."""
    for account in through_outages(lambda: list(StorageAccount.objects.filter(enabled=True))):
        try:
            backend = through_outages(lambda account=account: backend_for(account))  # type: ignore[misc]
            backend.drop_ahead(place.repo, place.path)
        except StorageError as error:
            log.info("Account %s: what was sent ahead of %s stays for some days. %s", account, place.path, error)


class _Growing:
    """The file, as far as it has come."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size, self.front = path, size, 0
        self.changed = threading.Condition()

    def reached(self, front: int) -> None:
        with self.changed:
            self.front = front
            self.changed.notify_all()


class _Sender:
    """One account's transfer, in a thread of its own; to its backend it is the GrowingFile."""

    def __init__(self, account: int, backend: Backend, growing: _Growing, place: Place) -> None:
        self.account, self.path, self.size = account, growing.path, growing.size
        self._backend, self._growing, self._place = backend, growing, place
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"ahead-{account}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._growing.changed:
            self._stopped = True
            self._growing.changed.notify_all()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def wait(self, position: int, seconds: float) -> int:
        """See GrowingFile.wait."""
        growing = self._growing
        with growing.changed:
            growing.changed.wait_for(
                lambda: self._stopped or growing.front > position or growing.front >= self.size, seconds
            )
            if self._stopped:
                raise Stopped
            return growing.front

    def _run(self) -> None:
        try:
            self._backend.send_ahead(self, self._place.repo, self._place.path)
        except Stopped:
            log.debug("Account %s: no more is sent ahead of %s.", self.account, self._place.path)
        except StorageError as error:
            log.info("Account %s: nothing more of %s is sent ahead. %s", self.account, self._place.path, error)
        except Exception:
            log.exception("Account %s: sending %s ahead failed unexpectedly.", self.account, self._place.path)
