"""Kinds of storage account: the contract in `base`, one module a kind, and the function that picks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from storage_app.backends.base import Backend
from storage_app.backends.hf_client import HubPlace
from storage_app.backends.huggingface import HuggingFaceBackend
from storage_app.backends.local import LocalBackend
from storage_app.credentials import secret_of

if TYPE_CHECKING:
    from storage_app.models import StorageAccount


def backend_for(account: StorageAccount, *, in_use: bool | None = None, timeout: float | None = None) -> Backend:
    """The backend that speaks for this account. Raises StorageAuthError when its credentials can't be had.

    `in_use` says whether it is known to hold copies; the database is asked when the caller doesn't know, and the
    account is a folder. `timeout` in seconds, instead of STORAGE_TIMEOUT: for somebody who waits, with fewer tries.
    """
    if account.kind == "s3":
        return _s3(account, timeout)
    if account.kind == "huggingface":
        return HuggingFaceBackend(hub_place(account, timeout))
    return _local(account, in_use)


def _local(account: StorageAccount, in_use: bool | None) -> LocalBackend:
    known = account.replicas.exists() if in_use is None else in_use
    return LocalBackend(Path(account.root), prefix=settings.HF_REPO_PREFIX, in_use=known)


def _s3(account: StorageAccount, timeout: float | None) -> Backend:
    from storage_app.backends.s3 import Bucket, S3Backend
    from storage_app.backends.s3_client import ATTEMPTS

    return S3Backend(
        Bucket(
            endpoint=account.endpoint,
            bucket=account.bucket,
            region=account.region,
            access_key=account.access_key,
            secret_key=secret_of(account),
            addressing=account.addressing,
            encryption=account.encryption,
            public_url=account.public_url,
            prefix=settings.HF_REPO_PREFIX,
            timeout=settings.STORAGE_TIMEOUT if timeout is None else timeout,
            attempts=ATTEMPTS if timeout is None else 2,
            memory_folder=settings.UPLOADS_DIR,
        )
    )


def hub_place(account: StorageAccount, timeout: float | None = None) -> HubPlace:
    """What the Hugging Face backend needs to know of an account. Raises StorageAuthError."""
    return HubPlace(
        endpoint=account.endpoint,
        username=account.username,
        token=secret_of(account).strip(),
        prefix=settings.HF_REPO_PREFIX,
        visibility=settings.HF_REPO_VISIBILITY,
        timeout=settings.STORAGE_TIMEOUT if timeout is None else timeout,
        memory_folder=settings.UPLOADS_DIR,
    )
