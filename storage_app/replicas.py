"""Where the copies of a stored file lie."""

from __future__ import annotations

import functools
import importlib
import logging
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, cast
from uuid import UUID

from django.conf import settings
from django.db import Error, connection
from django.utils.timezone import now

from storage_app.backends import backend_for
from storage_app.backends.base import RemoteBackend, StorageError
from storage_app.backends.local import LocalBackend
from storage_app.models import AccountKind, Replica, StorageAccount, StoredFile, TaskKind
from storage_app.playback import known
from storage_app.playback.copies import ANSWER_SECONDS, Copy, LocalCopy, left_out
from storage_app.playback.remote import RemoteCopy
from storage_app.playback.threads import pool
from storage_app.upkeep.tasks import FULL_REASONS, ask_for

_KINDS = [AccountKind.LOCAL.value, AccountKind.S3.value, AccountKind.HUGGINGFACE.value]
"""In the order in which they are read."""

_CLIENTS = {
    AccountKind.S3.value: ("boto3", "storage_app.backends.s3"),
    AccountKind.HUGGINGFACE.value: ("huggingface_hub.hf_api", "huggingface_hub.utils._http", "httpx2"),
}
_ready: set[Hashable] = set()
"""Kinds whose clients are loaded, and accounts that have theirs."""

logger = logging.getLogger(__name__)


class Content(NamedTuple):
    """What is the same of a stored file on every account."""

    id: UUID
    repo: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Holder:
    """What has to be known of an account to read from it. The fields are those of StorageAccount."""

    index: int
    kind: str
    username: str
    root: str
    endpoint: str
    bucket: str
    region: str
    addressing: str
    encryption: str
    public_url: str
    access_key: str
    secret: str
    secret_env: str
    enabled: bool
    paused_until: datetime | None
    pause_reason: str


_OF_HOLDERS = [field.name for field in fields(Holder)]


class Held(NamedTuple):
    """A replica, and the account that holds it."""

    id: UUID
    etag: str
    account: Holder


def copies_of(file: StoredFile, primary: int | None = None) -> list[Copy]:
    """All of them, in the order of `in_order`. One query; nothing is opened, and opening them needs no database."""
    columns = ("id", "etag", *(f"account__{name}" for name in _OF_HOLDERS))
    rows = file.replicas.values_list(*columns)
    held = [Held(number, etag, Holder(*account)) for number, etag, *account in rows]
    return in_order(Content(file.pk, file.repo, file.path, file.sha256), held, primary)


def in_order(file: Content, replicas: Sequence[Held], primary: int | None) -> list[Copy]:
    """Copies that have failed lately, or lie on accounts that are paused because they didn't answer, last; else folders
    of this host before buckets before repositories, then by what was measured of the account, then the one on the
    account `primary`, then those on accounts in use. An account that is only full can be read.
    """
    copies = {replica.id: _copy(replica, file) for replica in replicas}

    def order(replica: Held) -> tuple[object, ...]:
        account, copy = replica.account, copies[replica.id]
        return (
            _in_trouble(account) or known.has_failed(copy.key),
            _KINDS.index(account.kind),
            0 if account.kind == AccountKind.LOCAL.value else known.slowness(copy.account),
            account.index != primary,
            not account.enabled,
            account.index,
        )

    ordered = [copies[replica.id] for replica in sorted(replicas, key=order)]
    _load_clients(ordered)
    return ordered


def _load_clients(copies: Sequence[Copy]) -> None:
    """The accounts' clients are large: what it takes to load one must not count as the silence of its account, nor
    hold up a viewer who is to go on from another copy."""
    remote = [copy for copy in copies if isinstance(copy, RemoteCopy)]
    if copies and copies[0] in remote:
        _load_client(remote[0].kind)
    for copy in remote:
        if copy.account not in _ready:
            _ready.add(copy.account)
            pool("notes", 2).submit(_make_ready, copy)


def _load_client(kind: str) -> None:
    if kind not in _ready:
        for module in _CLIENTS[kind]:
            importlib.import_module(module)
        _ready.add(kind)


def _make_ready(copy: RemoteCopy) -> None:
    _load_client(copy.kind)
    if copy.kind == AccountKind.S3:  # signing takes a client, and no request
        try:
            copy.connect().signed_url(copy.repo, copy.path)
        except StorageError as error:
            left_out(copy, error)


def look_after(file: UUID, copies: Sequence[Copy]) -> Callable[[Copy], None]:
    """What is to be called with a copy of the file that has failed: a keeper then reads it back. It returns at once."""
    accounts = dict(zip((copy.key for copy in copies), (copy.index for copy in copies), strict=True))

    def ask(copy: Copy) -> None:
        pool("notes", 2).submit(_ask_for_check, file, accounts[copy.key])

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


def _in_trouble(account: Holder) -> bool:
    paused = account.paused_until is not None and account.paused_until > now()
    return paused and not re.search(FULL_REASONS, account.pause_reason, re.IGNORECASE)


def _copy(replica: Held, file: Content) -> Copy:
    account = replica.account
    name = f"The copy of {file.repo}/{file.path} on account {account.index}"
    if account.kind == AccountKind.LOCAL.value:
        return LocalCopy(name, account.index, _folder(account.root), file.repo, file.path)
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
        replica=replica.id,
        account=(
            account.index, account.kind, account.endpoint, account.bucket, account.region, account.addressing,
            account.username, account.access_key, account.secret, account.secret_env,
        ),
        patience=patience,
        etag=replica.etag,
    )  # fmt: skip


@functools.lru_cache(256)
def _folder(root: str) -> LocalBackend:
    """It keeps nothing of what it finds there."""
    return LocalBackend(Path(root), in_use=True)


def _backend(account: Holder, patience: float) -> RemoteBackend:
    backend = backend_for(StorageAccount(**asdict(account)), in_use=True, timeout=patience)
    if isinstance(backend, LocalBackend):
        raise StorageError("A folder is no account elsewhere.")
    return cast("RemoteBackend", backend)
