"""`manage.py test_account N…`: do these storage accounts work?"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from storage_app.models import StorageAccount
from storage_app.probe_account import PROBE_SECONDS, ProbeResult, probe_all


class Command(BaseCommand):
    """Exit code 1 when one of them doesn't work."""

    help = "Write a small file to storage accounts, read it back, compare and delete it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which ones, and how long to wait."""
        parser.add_argument("accounts", nargs="*", type=int, metavar="N", help="Their numbers; none: all in use.")
        parser.add_argument("--seconds", type=float, default=PROBE_SECONDS, help="Wait so long at the most (45).")
        parser.add_argument("--json", action="store_true", help="Print the results as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Test them side by side."""
        results = probe_all(_accounts(options["accounts"]), options["seconds"])
        if options["json"]:
            self.stdout.write(json.dumps([_facts(result) for result in results]))
        else:
            for result in results:
                (self.stdout if result.works else self.stderr).write(result.sentence)
        if not all(result.works for result in results):
            sys.exit(1)


def _accounts(numbers: list[int]) -> list[StorageAccount]:
    if not numbers:
        return list(StorageAccount.objects.filter(enabled=True))
    accounts = list(StorageAccount.objects.filter(index__in=numbers))
    unknown = sorted(set(numbers) - {account.index for account in accounts})
    if unknown:
        raise CommandError(
            f"There is no storage account {', '.join(map(str, unknown))}; the admin lists those there are."
        )
    return accounts


def _facts(result: ProbeResult) -> dict[str, Any]:
    return {
        "account": result.account.index,
        "kind": result.account.kind,
        "works": result.works,
        "problem": result.problem,
        "steps": [{"step": name, "seconds": round(seconds, 3)} for name, seconds in result.steps],
    }
