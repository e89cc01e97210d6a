"""The contract of a storage backend, and the ways in which one may fail.

A backend knows nothing of the database. Paths are `repo` (`weaboo-55825`) and `path` inside it
(`55825/ep1/<file_key>.mp4`), always with forward slashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Progress = Callable[[int], None]
"""Called with the bytes sent so far; it may raise to stop the transfer."""


class StorageError(Exception):
    """The account didn't do what was asked. `str()` of it is shown to operators and holds no secret."""

    account: int | None = None
    """The index of the account that failed, once it is known."""


class StorageAuthError(StorageError):
    """The account refuses our credentials or permissions."""


class StorageFullError(StorageError):
    """The account has no room left."""


class StorageRateError(StorageError):
    """The account asks us to slow down."""


class StorageUnavailableError(StorageError):
    """The account can't be reached, or broke off; trying later may help."""


class ObjectMissingError(StorageError):
    """There is no such object on the account."""


@dataclass(frozen=True)
class StoredObject:
    """What an account says of an object: its size in bytes and the sha256 of its content in hex."""

    size: int
    sha256: str


class Backend(Protocol):
    """One storage account."""

    def put(self, source: Path, repo: str, path: str, sha256: str, progress: Progress) -> None:
        """Store the file so that it is there whole or not at all. Putting the same content again is harmless.

        Raises a StorageError when the account fails or what it took does not have the hash `sha256`.
        """

    def stat(self, repo: str, path: str) -> StoredObject:
        """Size and hash of what is really stored, from the stored bytes. Raises ObjectMissingError."""

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but without `end`. Raises ObjectMissingError."""

    def delete(self, repo: str, path: str) -> None:
        """Remove the object; one that isn't there is no error."""

    def direct_url(self, repo: str, path: str) -> str | None:
        """A URL at which the account itself serves the object; None when it serves none."""
