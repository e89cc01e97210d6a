"""Looking at copies: whether what lies on an account is what the tables say."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from storage_app.backends import backend_for
from storage_app.backends.base import Backend, ObjectMissingError, Progress, StorageError
from storage_app.models import StorageAccount, StoredFile

TAIL_BYTES = 1024 * 1024


class State(enum.Enum):
    """How a copy was found."""

    GOOD = "good"
    BAD = "bad"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """`text` says what was found, as the end of a sentence."""

    state: State
    text: str = ""

    @property
    def good(self) -> bool:
        """Is the copy whole?"""
        return self.state is State.GOOD


GOOD = Finding(State.GOOD)


@contextmanager
def naming(account: StorageAccount, *, in_use: bool | None = None) -> Iterator[Backend]:
    """The account's backend (`in_use` as of `backend_for`); a StorageError that leaves the block names the account."""
    try:
        yield backend_for(account, in_use=in_use)
    except StorageError as error:
        error.account = account.index if error.account is None else error.account
        raise


def read_back(file: StoredFile, account: StorageAccount, progress: Progress, keep: BinaryIO | None = None) -> Finding:
    """Reads the copy from end to end and compares; what is read is also written to `keep`. Raises StorageError."""
    digest, done = hashlib.sha256(), 0
    try:
        with naming(account) as backend:
            for chunk in backend.open(file.repo, file.path):
                digest.update(chunk)
                done += len(chunk)
                if done > file.size:
                    return Finding(State.BAD, f"it is longer than its {file.size} bytes")
                if keep is not None:
                    keep.write(chunk)
                progress(done)
    except ObjectMissingError:
        return Finding(State.MISSING, "it is not there")
    return compared(file, done, digest.hexdigest())


def look(file: StoredFile, account: StorageAccount, *, in_use: bool | None = None) -> Finding:
    """What the account says of the copy, without reading all of it. Raises StorageError."""
    try:
        with naming(account, in_use=in_use) as backend:
            found = backend.stat(file.repo, file.path)
    except ObjectMissingError:
        return Finding(State.MISSING, "it is not there")
    return compared(file, found.size, found.sha256)


def look_and_touch(file: StoredFile, account: StorageAccount) -> Finding:
    """As `look`, and the copy's last bytes are read as well: an account that only says it has it is found out."""
    found = look(file, account)
    if not found.good:
        return found
    start, read = max(file.size - TAIL_BYTES, 0), 0
    try:
        with naming(account) as backend:
            for chunk in backend.open(file.repo, file.path, start, file.size):
                read += len(chunk)
    except ObjectMissingError:
        return Finding(State.MISSING, "it is not there")
    missing = file.size - start - read
    return Finding(State.BAD, f"its last {missing} bytes can't be read") if missing else GOOD


def compared(file: StoredFile, size: int, sha256: str | None) -> Finding:
    """What a size and sha256 say of the copy; a sha256 that nobody knows counts as right."""
    if size != file.size:
        return Finding(State.BAD, f"it has {size} bytes in the place of {file.size}")
    if sha256 is not None and sha256 != file.sha256:
        return Finding(State.BAD, f"its sha256 is {sha256} in the place of {file.sha256}")
    return GOOD
