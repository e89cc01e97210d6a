"""Where a new copy comes from: an account of the same kind copies it by itself, else a good one is read and hashed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from storage_app.backends import backend_for
from storage_app.backends.base import (
    Backend,
    ContentMismatchError,
    FileToPut,
    ObjectMissingError,
    StorageError,
    StoredObject,
)
from storage_app.backends.local import LocalBackend
from storage_app.models import Replica, StorageAccount, StoredFile, TaskKind
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat, NeedsPerson
from storage_app.upkeep.reading import Finding, read_back
from storage_app.upkeep.tasks import ask_for
from storage_app.upkeep.workspace import require_room, reserve, waiting_for_room


def to_put(file: StoredFile, source: Path) -> FileToPut:
    """The file as a backend takes it."""
    return FileToPut(source, file.repo, file.path, file.sha256, file.size, file.content_type)


class Sources:
    """The good copies of a file, and its bytes once one of them was read. `folder` holds what has to be carried."""

    def __init__(self, file: StoredFile, folder: Path, beat: Beat) -> None:
        self.file = file
        self._folder = folder
        self._beat = beat
        self._path: Path | None = None

    def copy_directly(self, account: StorageAccount, target: Backend) -> StoredObject | None:
        """Has the account fetch the file itself from one of its kind; None when it can't from any."""
        for replica in self._replicas():
            if replica.account.kind != account.kind:
                continue
            try:
                stored = target.copy_from(backend_for(replica.account), to_put(self.file, self._folder / "unread"))
            except (ContentMismatchError, ObjectMissingError) as error:
                self._ask_for_a_look(replica, str(error))
                continue
            except StorageError:
                continue  # what is wrong with either account shows when the bytes go through here
            if stored is not None:
                return stored
        return None

    def local_path(self) -> Path:
        """A whole copy of the file on this host: read from the first account that has a good one.

        A copy that turns out bad on the way is taken out as soon as a good one was found. Raises StorageError when no
        copy can be read now, NeedsPerson when none is good, Postpone when this host has no room.
        """
        if self._path is not None and self._path.exists():
            return self._path
        bad: list[tuple[Replica, Finding]] = []
        unreadable: StorageError | None = None
        for replica in self._replicas():
            try:
                path, found = self._read(replica)
            except StorageError as error:
                unreadable = unreadable or error
                continue
            if found.good:
                self._path = path
                self._report(bad)
                return path
            bad.append((replica, found))
        raise unreadable or self._nothing_good(bad)

    def _replicas(self) -> list[Replica]:
        """Where there is no network between first, and accounts in use before others."""
        replicas: Iterable[Replica] = self.file.replicas.select_related("account")
        return sorted(replicas, key=lambda r: (r.account.kind != "local", not r.account.enabled, r.account_id))

    def _read(self, replica: Replica) -> tuple[Path, Finding]:
        """A copy that lies on this host is hashed where it lies; another one is carried into the folder."""
        self._beat.next_step()
        backend = backend_for(replica.account)
        if isinstance(backend, LocalBackend):
            found = read_back(self.file, replica.account, self._beat.progress)
            return backend.local_path(self.file.repo, self.file.path), found
        require_room(self.file.size)
        path = self._folder / str(self.file.pk)
        with waiting_for_room(), path.open("wb") as writer:
            reserve(writer, self.file.size)
            return path, read_back(self.file, replica.account, self._beat.progress, keep=writer)

    def _report(self, bad: list[tuple[Replica, Finding]]) -> None:
        for replica, found in bad:
            self._ask_for_a_look(replica, f"{found.text}.")

    def _ask_for_a_look(self, replica: Replica, why: str) -> None:
        """It is read once more by its own task, which sees to it that a good one is left."""
        reason = f"Read as the source of a new copy: {why}"
        ask_for(TaskKind.VERIFY, stored_file=self.file, account=replica.account, reason=reason)

    def _nothing_good(self, bad: list[tuple[Replica, Finding]]) -> NeedsPerson:
        where = "; ".join(f"on account {replica.account} {found.text}" for replica, found in bad) or "there is no copy"
        text = (
            f"No good copy of {self.file.path} is left to make new ones from: {where}. All is kept as it is. Bring the"
            " file back by hand, or archive the video again."
        )
        record("no_good_copy", text, file=self.file)
        return NeedsPerson(text)
