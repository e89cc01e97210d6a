"""The contract of a storage backend, and the ways in which one may fail.

A backend knows nothing of the database. Paths are `repo` (`weaboo-55825`) and `path` inside it
(`55825/ep1/<file_key>.mp4`), always with forward slashes. Every method may raise a StorageError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Progress = Callable[[int], None]
"""Called with the bytes sent so far; it may raise to stop the transfer. It may be called from any thread."""


class StorageError(Exception):
    """The account didn't do what was asked. `str()` of it is shown to operators and holds no secret."""

    account: int | None = None
    """The index of the account that failed, once it is known."""


class StorageAuthError(StorageError):
    """The account refuses our credentials or permissions."""


class StorageFullError(StorageError):
    """The account has no room left."""


class FileTooLargeError(StorageFullError):
    """The account takes no file as large as this one; smaller ones it may."""


class StorageRateError(StorageError):
    """The account asks us to slow down. `retry_after` in seconds, if it said for how long."""

    retry_after: float | None = None


class StorageUnavailableError(StorageError):
    """The account can't be reached, or broke off; trying later may help."""


class ObjectMissingError(StorageError):
    """There is no such object on the account."""


class ContentMismatchError(StorageUnavailableError):
    """What lies on the account, or arrived there, is not what it should be: its size, hash or bytes differ."""


@dataclass(frozen=True)
class FileToPut:
    """A file of this host and where it is to lie. `size` in bytes, `sha256` in hex: both already known to be true."""

    source: Path
    repo: str
    path: str
    sha256: str
    size: int
    content_type: str = "application/octet-stream"


@dataclass(frozen=True)
class StoredObject:
    """What an account says of an object: its size in bytes, the sha256 of its content in hex where the account knows
    that, and its own mark of the content (`etag`), which changes with it."""

    size: int
    sha256: str | None
    etag: str = ""


@dataclass(frozen=True)
class ListedObject:
    """An object of a list. `sha256` and `etag` as far as the list itself tells."""

    repo: str
    path: str
    size: int
    sha256: str | None = None
    etag: str = ""


@dataclass(frozen=True)
class Capacity:
    """Bytes. `free` is None where the account doesn't tell; `files` where counting them would be dear."""

    used: int
    free: int | None = None
    files: int | None = None


@dataclass(frozen=True)
class SignedUrl:
    """Where the bytes of an object can be had until `until` (seconds since 1970), by whoever has this URL; with
    `headers`, where the account serves it to us alone. Both are secret. `size` and `sha256` as far as the account told.
    """

    url: str = field(repr=False)
    until: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    size: int | None = None
    sha256: str | None = None


class GrowingFile(Protocol):
    """A file of this host that is still being downloaded."""

    path: Path
    size: int
    """Bytes that it will have."""

    def wait(self, position: int, seconds: float) -> int:
        """How many bytes from its beginning are there for good, once that is more than `position`, or after `seconds`.

        Raises Stopped when the download is over short of its end.
        """


class Stopped(Exception):
    """There is nothing more to send ahead."""


class Backend(Protocol):
    """One storage account. Its methods may be called from several threads at once."""

    def put(self, files: Sequence[FileToPut], progress: Progress) -> list[StoredObject]:
        """Store these files, each whole or not at all; what each then is, in their order.

        Returns only once the account has confirmed each one's size and content by its own hash and the tail has been
        read back. Putting the same content again is harmless and sends nothing, whatever became of the answer to the
        first time. A transfer that was killed goes on where the account allows. Another content at that path is
        replaced. `progress` counts over all of the files.
        """

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None:
        """Send what is there of a file while it is still growing, so that the `put` that will follow has less to send.

        Nothing of it can be seen on the account. Returns when all is sent, or at once where the account has no way to
        do so. Raises Stopped. What is sent ahead and never put is forgotten in time.
        """

    def drop_ahead(self, repo: str, path: str) -> None:
        """Forget what was sent ahead of this place and won't be put. What was put stays. Nothing there is no error."""

    def copy_from(self, other: Backend, file: FileToPut) -> StoredObject | None:
        """Have the account itself copy the file from another one of its kind, without a byte coming through here
        (`file.source` isn't read). None when the two can't do that; confirmed as after `put`."""

    def stat(self, repo: str, path: str) -> StoredObject:
        """What the account says is stored there, without reading it all where it needn't. Raises ObjectMissingError."""

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but without `end`. Raises ObjectMissingError."""

    def delete(self, repo: str, path: str) -> None:
        """Remove the object; one that isn't there is no error."""

    def list(self, repo: str | None = None) -> Iterator[ListedObject]:
        """Every object of our repositories (those that begin with the prefix), or of one."""

    def capacity(self) -> Capacity:
        """How full the account is, by its own figures."""

    def direct_url(self, repo: str, path: str) -> str | None:
        """A URL at which the account itself serves the object, without a signature; None when it serves none."""


class RemoteBackend(Backend, Protocol):
    """An account elsewhere, from which viewers are served by URLs."""

    def signed_url(self, repo: str, path: str) -> SignedUrl:
        """Where to read the object for a while. Raises ObjectMissingError where the account tells at once."""
