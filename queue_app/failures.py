"""Why a job failed: one typed exception for each failure class (DESIGN, invariant 6).

Code that does the work raises one of these with a sentence for the operator. `classify` turns whatever else escapes
into one of them, so that the decision what to do next is taken in one place.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from storage_app.backends.base import StorageAuthError, StorageError, StorageFullError, StorageRateError


class Failure(Exception):
    """A job can't go on. `str()` of it is shown to the operator and must hold no secret.

    `details` is what a program said, for who looks closer: some lines without paths and URLs, or "".
    """

    failure_class: ClassVar[str] = "internal"
    permanent: ClassVar[bool] = False

    def __init__(self, *args: object, details: str = "") -> None:
        super().__init__(*args)
        self.details = details


class Gone(Failure):
    """The source no longer exists (404, 410, the name doesn't resolve for good)."""

    failure_class = "gone"
    permanent = True


class BadSource(Failure):
    """What the source gives is not a whole, playable video, and asking again won't change that."""

    failure_class = "bad_source"
    permanent = True


class ExpiredUrl(Failure):
    """A signed URL whose time is over; its page may give a new one."""

    failure_class = "expired_url"


class Forbidden(Failure):
    """The source refuses us (401, 403, 451), or its address may not be fetched."""

    failure_class = "forbidden"
    permanent = True


class Transient(Failure):
    """Network trouble, 5xx, 429, a cut connection: worth trying again later."""

    failure_class = "transient"


class StorageAuth(Failure):
    """A storage account refuses our credentials."""

    failure_class = "storage_auth"


class StorageFull(Failure):
    """A storage account has no room."""

    failure_class = "storage_full"


class StorageRate(Failure):
    """A storage account asks us to slow down."""

    failure_class = "storage_rate"


class DiskFull(Failure):
    """This host has no room for the download."""

    failure_class = "disk_full"


class TooLarge(Failure):
    """The source is larger than the operator allows."""

    failure_class = "too_large"
    permanent = True


class Internal(Failure):
    """A fault of ours."""

    failure_class = "internal"


class Cancelled(Exception):
    """The job was taken away from this task (cancelled, reset, lease lost, shutdown): stop, write nothing."""


FAILURE_CLASSES: tuple[str, ...] = (
    "gone", "bad_source", "expired_url", "forbidden", "transient",
    "storage_auth", "storage_full", "storage_rate", "disk_full", "too_large", "internal",
)  # fmt: skip


_STORAGE: tuple[tuple[type[StorageError], type[Failure]], ...] = (
    (StorageAuthError, StorageAuth),
    (StorageFullError, StorageFull),
    (StorageRateError, StorageRate),
    (StorageError, Transient),
)


def classify(error: Exception) -> Failure:
    """The failure that stands for `error`: itself if it is one, else the nearest class."""
    if isinstance(error, Failure):
        return error
    for storage_error, failure in _STORAGE:
        if isinstance(error, storage_error):
            return failure(str(error))
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull("This host's disk is full. Free some space; the job goes on by itself.")
    # Its text may quote a URL with a signature in it: that stays in the worker's log.
    return Internal(f"Unexpected {type(error).__name__}. The worker's log has the details; please report it.")
