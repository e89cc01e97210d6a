"""Storage accounts that the environment describes, made where they are missing (CONTRACT §3).

HF_TOKEN_STORAGE_<k> is account k. Buckets and folders take numbers above every number that is taken, named by the
environment or named by an archived video, and keep them. What exists is never renumbered nor pointed elsewhere: where
the environment says otherwise, that is reported. Credentials alone follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from archive_site.account_env import ACCOUNT_NAME, BucketAccount, HubAccount
from storage_app.backends.base import StorageAuthError
from storage_app.credentials import secret_of
from storage_app.models import AccountKind, StorageAccount, VideoStore


@dataclass
class Imported:
    """What `ensure_accounts` did: the accounts that it made, and sentences on what is not as the environment says."""

    made: list[StorageAccount] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def ensure_accounts() -> Imported:
    """Make the accounts of the environment that are missing. Harmless to repeat, on several hosts at once too."""
    found = Imported()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE storage_account IN SHARE ROW EXCLUSIVE MODE")
        is_first = not StorageAccount.objects.exists()
        for hub in settings.HUB_ACCOUNTS:
            _ensure_hub(hub, found)
        if is_first and _holds_something(settings.LOCAL_STORAGE_DEFAULT):
            # An account before the database was lost, of the lowest number: buckets came later.
            _ensure_folder(settings.LOCAL_STORAGE_DEFAULT, found)
        for bucket in settings.BUCKET_ACCOUNTS:
            _ensure_bucket(bucket, found)
        folders = settings.LOCAL_STORAGE_PATHS
        if not folders and not StorageAccount.objects.exists():
            folders = [settings.LOCAL_STORAGE_DEFAULT]
        for folder in folders:
            _ensure_folder(folder, found)
    found.remarks.extend(_without_secret())
    return found


def place_of(account: StorageAccount) -> str:
    """Where it keeps its copies, for people."""
    match account.kind:
        case AccountKind.LOCAL:
            return f"folder {account.root}"
        case AccountKind.S3:
            return f"bucket {account.bucket} at {account.endpoint or 'Amazon'}"
    return f"datasets of {account.username} at {account.endpoint or 'huggingface.co'}"


def next_index() -> int:
    """A number that no account has, that the environment keeps for none and that no archived video names."""
    taken = (
        StorageAccount.objects.aggregate(last=Max("index"))["last"],
        VideoStore.objects.aggregate(last=Max("hf_account"))["last"],
        max((hub.number for hub in settings.HUB_ACCOUNTS), default=0),
    )
    return max(number or 0 for number in taken) + 1


def _ensure_hub(hub: HubAccount, found: Imported) -> None:
    accounts = StorageAccount.objects.filter(kind=AccountKind.HUGGINGFACE)
    account = accounts.filter(secret_env=hub.secret_variable).first()
    if account is not None:
        _compare(account, {hub.username_variable: ("username", hub.username)}, found)
        return
    same_user = accounts.filter(username__iexact=hub.username).first()
    if same_user is not None:
        if same_user.index != hub.number:
            found.remarks.append(
                f"{hub.username_variable} is {hub.username}, which is storage account {same_user.index} already: "
                f"there is no account {hub.number} beside it."
            )
        return
    in_the_way = StorageAccount.objects.filter(index=hub.number).first()
    index = next_index() if in_the_way else hub.number
    made = _make(
        found, hub.username_variable, index=index, kind=AccountKind.HUGGINGFACE, username=hub.username,
        secret_env=hub.secret_variable,
    )  # fmt: skip
    if made and in_the_way:
        found.remarks.append(
            f"Storage account {hub.number} is {in_the_way.username} ({in_the_way.get_kind_display()}) already and "
            f"stays so, for archived videos may name it. {hub.secret_variable} has become account {index}."
        )


def _ensure_bucket(bucket: BucketAccount, found: Imported) -> None:
    accounts = StorageAccount.objects.filter(kind=AccountKind.S3)
    account = accounts.filter(secret_env=bucket.secret_variable).first()
    if account is not None:
        if account.access_key != bucket.access_key:
            StorageAccount.objects.filter(pk=account.pk).update(access_key=bucket.access_key)
            found.remarks.append(f"Storage account {account} has the new access key of {bucket.source}_*.")
        _compare(
            account,
            {
                f"The bucket of {bucket.source}_*": ("bucket", bucket.bucket),
                f"The endpoint of {bucket.source}_*": ("endpoint", bucket.endpoint),
                f"The region of {bucket.source}_*": ("region", bucket.region),
            },
            found,
        )
        return
    if accounts.filter(endpoint=bucket.endpoint, bucket=bucket.bucket).exists():
        return
    index = next_index()
    _make(
        found, f"{bucket.source}_*", index=index, kind=AccountKind.S3, username=_free_name(bucket.bucket, index),
        bucket=bucket.bucket, endpoint=bucket.endpoint, region=bucket.region, public_url=bucket.public_url,
        access_key=bucket.access_key, secret_env=bucket.secret_variable,
    )  # fmt: skip


def _holds_something(folder: Path) -> bool:
    """Names that begin with a dot are no copies."""
    try:
        return any(not child.name.startswith(".") for child in folder.iterdir())
    except OSError:
        return False


def _ensure_folder(folder: Path, found: Imported) -> None:
    if StorageAccount.objects.filter(kind=AccountKind.LOCAL, root=str(folder)).exists():
        return
    index = next_index()
    name = _free_name(f"local{index}", index)
    _make(found, "LOCAL_STORAGE_PATHS", index=index, kind=AccountKind.LOCAL, username=name, root=str(folder))


def _make(found: Imported, source: str, **columns: Any) -> StorageAccount | None:
    other = StorageAccount.objects.filter(username=columns["username"]).first()
    if other is not None:
        found.remarks.append(
            f"{source}: no account was made, for storage account {other.index} ({other.get_kind_display()}) has the "
            f"name {other.username} already. Give that one another name in the admin and start again."
        )
        return None
    account = StorageAccount.objects.create(**columns)
    found.made.append(account)
    return account


def _free_name(wanted: str, index: int) -> str:
    wanted = wanted if ACCOUNT_NAME.fullmatch(wanted) and len(wanted) < 80 else "bucket"
    taken = StorageAccount.objects.filter(username=wanted).exists()
    return f"{wanted}-{index}" if taken else wanted


def _compare(account: StorageAccount, said: dict[str, tuple[str, str]], found: Imported) -> None:
    for source, (column, value) in said.items():
        kept = getattr(account, column)
        if kept != value:
            found.remarks.append(
                f"{source} is {value or 'empty'}, but storage account {account.index} has {kept or 'none'} and stays "
                "so: its copies lie there. Change it in the admin if they have moved."
            )


def _without_secret() -> Iterator[str]:
    for account in StorageAccount.objects.filter(enabled=True).exclude(secret_env=""):
        try:
            secret_of(account)
        except StorageAuthError as error:
            yield str(error)
