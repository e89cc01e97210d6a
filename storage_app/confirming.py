"""Asks accounts whether files lie there as they should."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from storage_app.backends import backend_for
from storage_app.backends.base import (
    Backend,
    ContentMismatchError,
    ListedObject,
    ObjectMissingError,
    StorageError,
)
from storage_app.manifest_format import FileEntry
from storage_app.models import StorageAccount

log = logging.getLogger(__name__)

_PATIENCE = 3
"""After so many failures in a row an account isn't asked any more."""


@dataclass(frozen=True)
class Copy:
    """A confirmed copy. `read` when every byte of it was read back just now."""

    account: StorageAccount
    etag: str = ""
    read: bool = False


Copies = Mapping[FileEntry, Sequence[Copy]]
"""Where files were confirmed."""


class Confirming:
    """Asks some accounts about files, several questions at a time. `faults` are sentences for operators."""

    def __init__(self, accounts: Iterable[StorageAccount], pool: ThreadPoolExecutor) -> None:
        self.accounts = list(accounts)
        self.faults: list[str] = []
        self._pool = pool
        self._backends: dict[int, Backend] = {}
        self._failures: Counter[int] = Counter()
        self._given_up: set[int] = set()

    def backend(self, account: StorageAccount) -> Backend:
        """One for each account, for all questions. Raises StorageError."""
        # Made on the calling thread: it may need the database.
        if account.index not in self._backends:
            self._backends[account.index] = backend_for(account)
        return self._backends[account.index]

    def answers(self, account: StorageAccount) -> bool:
        """False once it has failed too often; it is heard of then in `faults`."""
        return self._failures[account.index] < _PATIENCE

    def by_stat(self, questions: Sequence[tuple[FileEntry, StorageAccount]], *, read: bool) -> Copies:
        """Which of these files lie on these accounts, by the accounts' own word or by reading from end to end."""
        return self._ask(questions, read=read)

    def by_reading(self, copies: Copies) -> Copies:
        """Those of the copies that have the right bytes from end to end."""
        return self._ask([(file, copy.account) for file, found in copies.items() for copy in found], read=True)

    def _ask(self, questions: Sequence[tuple[FileEntry, StorageAccount]], *, read: bool) -> dict[FileEntry, list[Copy]]:
        open_questions = [(file, account) for file, account in questions if self._reachable(account)]
        found: dict[FileEntry, list[Copy]] = {file: [] for file, _account in questions}
        answers = self._pool.map(lambda question: self._answer(*question, read=read), open_questions)
        for (file, account), answer in zip(open_questions, answers, strict=True):
            if isinstance(answer, Copy):
                self.count(account)
                found[file].append(answer)
            elif not isinstance(answer, ObjectMissingError):
                self.fault(account, f"{file.repo}/{file.path}", answer)
        return found

    def _reachable(self, account: StorageAccount) -> bool:
        if not self.answers(account):
            return False
        try:
            self.backend(account)
        except StorageError as error:
            self.give_up(account, error)
            return False
        return True

    def _answer(self, file: FileEntry, account: StorageAccount, *, read: bool) -> Copy | StorageError:
        if not self.answers(account):
            return ObjectMissingError("It was not asked.")
        try:
            return self._confirm(file, account, read=read)
        except StorageError as error:
            self.count(account, error)
            return error

    def _confirm(self, file: FileEntry, account: StorageAccount, *, read: bool) -> Copy:
        backend = self._backends[account.index]
        if read:
            digest, size = hashlib.sha256(), 0
            for piece in backend.open(file.repo, file.path):
                digest.update(piece)
                size += len(piece)
            said, etag = digest.hexdigest(), ""
        else:
            stored = backend.stat(file.repo, file.path)
            said, size, etag = stored.sha256 or file.sha256, stored.size, stored.etag
        if (said, size) != (file.sha256, file.size):
            raise ContentMismatchError("another content lies there.")
        return Copy(account, etag, read)

    def count(self, account: StorageAccount, error: StorageError | None = None) -> None:
        """Note how it went; what is said of one object alone is no failure of the account."""
        if error is None:
            self._failures[account.index] = 0
        elif not isinstance(error, ObjectMissingError | ContentMismatchError):
            self._failures[account.index] += 1

    def give_up(self, account: StorageAccount, error: StorageError) -> None:
        """Don't ask this account any more."""
        self._failures[account.index] = _PATIENCE
        self._given_up.add(account.index)
        self.faults.append(f"Account {account} could not be asked: {error}")

    def fault(self, account: StorageAccount, place: str, error: Exception) -> None:
        """Note what was wrong with a copy."""
        log.warning("Account %s, %s: %s", account, place, error)
        self.faults.append(f"Account {account}, {place}: {error}")
        if not self.answers(account) and account.index not in self._given_up:
            self._given_up.add(account.index)
            self.faults.append(f"Account {account} failed {_PATIENCE} times in a row and is not asked any more.")


def by_listing(file: FileEntry, account: StorageAccount, listed: ListedObject) -> Copy | None:
    """The copy that an account's list shows; None when its size, or the sha256 if the list tells it, is another."""
    if listed.size != file.size or listed.sha256 not in {None, file.sha256}:
        return None
    return Copy(account, listed.etag)


def merged(*found: Copies) -> dict[FileEntry, list[Copy]]:
    """All copies of all files."""
    files = dict.fromkeys(itertools.chain.from_iterable(found))
    return {file: [copy for copies in found for copy in copies.get(file, ())] for file in files}
