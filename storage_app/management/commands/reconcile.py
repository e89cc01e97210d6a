"""`manage.py reconcile`: compares accounts with the tables now."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from storage_app.backends.base import StorageError
from storage_app.management.subjects import account_of, natural
from storage_app.models import StorageAccount
from storage_app.upkeep.lease import NoBeat
from storage_app.upkeep.reconcile import Reconciled, reconcile


class Command(BaseCommand):
    """Exit code 1 when an account can't be read or isn't believed; the others are reconciled all the same."""

    help = "Compare what accounts hold with what the tables say, and mend both."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which account."""
        parser.add_argument("--account", type=natural, metavar="N", help="Only this one; else all that aren't retired.")
        parser.add_argument(
            "--accept-loss", action="store_true", help="With --account: what is missing is lost, however much it is."
        )
        parser.add_argument("--json", action="store_true", help="Print what was found as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Reconcile and tell."""
        if options["accept_loss"] and options["account"] is None:
            raise CommandError("--accept-loss goes with --account: name the account whose copies are lost.")
        accounts = [account_of(options["account"])] if options["account"] is not None else self._all()
        results, failed = [], False
        for account in accounts:
            try:
                result = reconcile(account, NoBeat(), accept_loss=options["accept_loss"])
            except StorageError as error:
                self.stderr.write(f"Account {account}: {error}")
                failed = True
                continue
            results.append(result)
            failed |= result.unreachable
            if not options["json"]:
                self.stdout.write(_sentence(account, result))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(result) for result in results]))
        if failed:
            sys.exit(1)

    def _all(self) -> list[StorageAccount]:
        return list(StorageAccount.objects.filter(retired_at=None))


def _sentence(account: StorageAccount, result: Reconciled) -> str:
    lines = [
        f"Account {account}: {result.objects} objects, {result.copies} copies in the tables; {result.missing} missing,"
        f" {result.differing} differ, {result.adopted} found again, {result.orphans} known to no table."
    ]
    return "\n".join([*lines, *(f"  {note}" for note in result.notes)])
