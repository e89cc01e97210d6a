"""`manage.py ensure_bucket [INDEX]`: makes the buckets of S3 accounts ready."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from storage_app.backends import backend_for
from storage_app.backends.base import StorageError
from storage_app.backends.s3 import S3Backend
from storage_app.backends.s3_setup import ensure_bucket
from storage_app.models import AccountKind, StorageAccount


class Command(BaseCommand):
    """Exit code 1 when one of the buckets couldn't be made ready; the others are all the same."""

    help = "Create the buckets of S3 accounts where they are missing, and let browsers read from them (CORS)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which account, and for whom."""
        parser.add_argument("index", nargs="?", type=int, help="Of one account; without it, all that are not retired.")
        parser.add_argument("--public-read", action="store_true", help="Also let everybody read, without a signature.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it and tell."""
        failed = False
        for account in _accounts(options["index"]):
            try:
                done = _ensure(account, options["public_read"])
            except StorageError as error:
                self.stderr.write(f"Account {account}: {error}")
                failed = True
            else:
                self.stdout.write(f"Account {account}: {', '.join(done) or 'nothing was to be done'}.")
        if failed:
            raise CommandError("Not every bucket could be made ready.")


def _accounts(index: int | None) -> list[StorageAccount]:
    accounts = StorageAccount.objects.filter(kind=AccountKind.S3)
    accounts = accounts.filter(retired_at=None) if index is None else accounts.filter(index=index)
    if not accounts:
        raise CommandError("There is no S3 account." if index is None else f"Account {index} is not an S3 account.")
    return list(accounts)


def _ensure(account: StorageAccount, public_read: bool) -> list[str]:
    backend = backend_for(account)
    if not isinstance(backend, S3Backend):
        raise StorageError("It is not an S3 account.")
    return ensure_bucket(backend.client, public_read=public_read)
