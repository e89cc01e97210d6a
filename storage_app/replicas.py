"""Where the copies of a stored file lie."""

from __future__ import annotations

import functools
import importlib
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast
from uuid import UUID

from django.conf import settings
from django.db import Error, connection
from django.utils.timezone import now

from storage_app.backends import backend_for
from storage_app.backends.base import RemoteBackend, StorageError
from storage_app.backends.local import LocalBackend
from storage_app.models import AccountKind, Replica, StorageAccount, StoredFile, TaskKind
from storage_app.playback import known
from storage_app.playback.copies import ANSWER_SECONDS, Copy, LocalCopy
from storage_app.playback.remote import RemoteCopy
from storage_app.playback.threads import pool
from storage_app.upkeep.tasks import FULL_REASONS, ask_for

_KINDS = [AccountKind.LOCAL, AccountKind.S3, AccountKind.HUGGINGFACE]
"""In the order in which they are read."""

_CLIENTS = {
    AccountKind.S3.value: ("boto3", "storage_app.backends.s3"),
    AccountKind.HUGGINGFACE.value: ("huggingface_hub.hf_api", "huggingface_hub.utils._http", "httpx2"),
}
_loaded: set[str] = set()

logger = logging.getLogger(__name__)


def copies_of(file: StoredFile, primary: int | None = None) -> list[Copy]:
    """Those that have failed lately, or lie on accounts that are paused because they didn't answer, last; else folders
    of this host before buckets before repositories, then by what was measured of the account, then the one on the
    account `primary`, then those on accounts in use. An account that is only full can be read.

    One query; nothing is opened, and opening them needs no database.
    """
    replicas = list(file.replicas.select_related("account"))
    copies = {replica.pk: _copy(replica, file) for replica in replicas}

    def order(replica: Replica) -> tuple[object, ...]:
        account, copy = replica.account, copies[replica.pk]
        return (
            _in_trouble(account) or known.has_failed(copy.key),
            _KINDS.index(AccountKind(account.kind)),
            0 if account.kind == AccountKind.LOCAL else known.slowness(copy.account),
            account.index != primary,
            not account.enabled,
            account.index,
        )

    ordered = [copies[replica.pk] for replica in sorted(replicas, key=order)]
    _load_clients(ordered)
    return ordered


def _load_clients(copies: Sequence[Copy]) -> None:
    """The accounts' clients are large: what it takes to load one must not count as the silence of its account."""
    kinds = [copy.kind for copy in copies if isinstance(copy, RemoteCopy)]
    if copies and isinstance(copies[0], RemoteCopy):
        _load_client(kinds[0])
    for kind in {*kinds} - _loaded:
        pool("notes", 2).submit(_load_client, kind)


def _load_client(kind: str) -> None:
    if kind not in _loaded:
        for module in _CLIENTS[kind]:
            importlib.import_module(module)
        _loaded.add(kind)


def look_after(file: StoredFile, copies: Sequence[Copy]) -> Callable[[Copy], None]:
    """What is to be called with a copy of the file that has failed: a keeper then reads it back. It returns at once."""
    accounts = dict(zip((copy.key for copy in copies), (copy.index for copy in copies), strict=True))

    def ask(copy: Copy) -> None:
        pool("notes", 2).submit(_ask_for_check, file.pk, accounts[copy.key])

    return ask


def _ask_for_check(file: UUID, account: int) -> None:
    try:
        replica = Replica.objects.select_related("stored_file", "account").get(stored_file=file, account=account)
        ask_for(
            TaskKind.VERIFY,
            stored_file=replica.stored_file,
            account=replica.account,
            reason="A viewer could not be served from this copy.",
        )
    except Replica.DoesNotExist:
        logger.info("The copy on account %d that failed is not there any more.", account)
    except Error as error:
        logger.warning("The copy on account %d failed, and no check of it could be asked for: %s", account, error)
    finally:
        connection.close()


def _in_trouble(account: StorageAccount) -> bool:
    paused = account.paused_until is not None and account.paused_until > now()
    return paused and not re.search(FULL_REASONS, account.pause_reason, re.IGNORECASE)


def _copy(replica: Replica, file: StoredFile) -> Copy:
    account = replica.account
    name = f"The copy of {file.repo}/{file.path} on account {account.index}"
    if account.kind == AccountKind.LOCAL:
        return LocalCopy(name, account.index, LocalBackend(Path(account.root), in_use=True), file.repo, file.path)
    patience = min(ANSWER_SECONDS, settings.STORAGE_TIMEOUT)
    return RemoteCopy(
        name=name,
        index=account.index,
        kind=account.kind,
        endpoint=account.endpoint,
        connect=functools.partial(_backend, account, patience),
        repo=file.repo,
        path=file.path,
        sha256=file.sha256,
        replica=replica.pk,
        account=(
            account.index, account.kind, account.endpoint, account.bucket, account.region, account.addressing,
            account.username, account.access_key, account.secret, account.secret_env,
        ),
        patience=patience,
        etag=replica.etag,
    )  # fmt: skip


def _backend(account: StorageAccount, patience: float) -> RemoteBackend:
    backend = backend_for(account, in_use=True, timeout=patience)
    if isinstance(backend, LocalBackend):
        raise StorageError("A folder is no account elsewhere.")
    return cast("RemoteBackend", backend)
