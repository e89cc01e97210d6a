"""`manage.py rebuild_store`: restores the store's tables from what lies on the accounts."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from queue_app.management.rebuilding import ACTOR, as_numbers, end, print_json, summary, tell_faults
from queue_app.restored import ready_jobs
from storage_app.models import StorageAccount
from storage_app.rebuild import READERS, Rebuilt, rebuild

REASON = "Restored from the manifest on its storage accounts."


class Command(BaseCommand):
    """Exit code 0: all is restored; 1: something could not be, and was told; 130: interrupted, run it again."""

    help = (
        "Restore videos, copies and jobs from the storage accounts alone, by the manifest beside every video. The "
        "accounts themselves must be there, under their old numbers. Only what is missing is added: on a store that is "
        "whole nothing changes, and after an interruption it goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """How carefully."""
        parser.add_argument("--dry-run", action="store_true", help="Say what would be restored; write nothing.")
        parser.add_argument("--verify", action="store_true", help="Read every copy from end to end; takes long.")
        parser.add_argument("--readers", type=int, default=READERS, help="Manifests that are read at once.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Restore, and tell what could not be."""
        if not StorageAccount.objects.filter(retired_at=None).exists():
            raise CommandError("There is no storage account. Add those of the old database, under their old numbers.")
        if options["readers"] < 1:
            raise CommandError("--readers must be at least 1.")
        state = Rebuilt()
        jobs = ready_jobs(ACTOR, REASON)
        steps = rebuild(jobs, dry_run=options["dry_run"], verify=options["verify"], readers=options["readers"])
        try:
            with self._progress() as progress:
                task = progress.add_task("Listing", total=None)
                for state in steps:
                    tell_faults(self, state.faults)
                    state.faults.clear()
                    progress.update(task, description=f"{state.objects} objects, {state.manifests} manifests")
        except KeyboardInterrupt:
            self.stderr.write(f"Interrupted after {state.manifests} manifests. Run it again for the others.")
            sys.exit(130)
        tell_faults(self, [*state.listing_failed, *state.missing_accounts])
        if options["json"]:
            print_json(self, {"dry_run": options["dry_run"], "complete": state.complete, **as_numbers(state)})
        else:
            self.stdout.write(f"{state.objects} objects on {state.accounts} accounts, {state.manifests} manifests.")
            self.stdout.write(summary(state, dry_run=options["dry_run"]))
            if state.refused:
                self.stdout.write(f"{state.refused} places have no manifest that can be read; see above.")
        end(well=state.complete)

    def _progress(self) -> Progress:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
