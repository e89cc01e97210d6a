"""`manage.py orphans`: objects that no table knows; lists them, or has them removed."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from storage_app.management.subjects import ACTOR, natural
from storage_app.models import Orphan
from storage_app.upkeep.reconcile import confirm_orphans, confirmable, needed


class Command(BaseCommand):
    """Removal is done by the running workers, after one more look at the tables."""

    help = "List objects that no table knows; with --confirm have them removed."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which orphans, and what to do."""
        parser.add_argument("ids", nargs="*", type=natural, metavar="ID", help="Orphans to remove, with --confirm.")
        parser.add_argument("--account", type=natural, metavar="N", help="Only on this account.")
        parser.add_argument("--confirm", action="store_true", help="Have those named removed, or with --all every one.")
        parser.add_argument("--all", action="store_true", help="With --confirm: all that were seen twice.")
        parser.add_argument("--json", action="store_true", help="Print as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """List, or confirm."""
        if options["confirm"] != bool(options["ids"] or options["all"]) or (options["ids"] and options["all"]):
            raise CommandError(
                "To remove orphans: --confirm with their ids, or --confirm --all. To list them: neither."
            )
        orphans = Orphan.objects.order_by("account", "repo", "path")
        if options["account"] is not None:
            orphans = orphans.filter(account=options["account"])
        if options["confirm"]:
            self._confirm(options["ids"] or list(orphans.filter(confirmable()).values_list("pk", flat=True)), options)
            return
        ready = set(orphans.filter(confirmable()).values_list("pk", flat=True))
        for orphan in orphans.iterator(chunk_size=500):
            self.stdout.write(_line(orphan, ready=orphan.pk in ready, as_json=options["json"]))

    def _confirm(self, ids: list[int], options: dict[str, Any]) -> None:
        kept = needed(ids)
        number = confirm_orphans(ids, ACTOR)
        left = len(ids) - number
        if options["json"]:
            self.stdout.write(json.dumps({"confirmed": number, "left": left, "needed_for_rebuild": len(kept)}))
            return
        self.stdout.write(f"{number} orphans will be removed.")
        if kept:
            self.stdout.write(
                f"{len(kept)} are left: they are manifests of videos that the tables don't know, or lie beside one. Run"
                " rebuild_store first."
            )
        if left > len(kept):
            self.stdout.write(
                f"{left - len(kept)} are left: each must be seen by two reconciliations a day apart, and is"
                " confirmed once."
            )


def _line(orphan: Orphan, *, ready: bool, as_json: bool) -> str:
    state = "being removed" if orphan.confirmed_at else "may be removed" if ready else "seen too lately"
    if as_json:
        return json.dumps(
            {
                "id": orphan.pk, "account": orphan.account_id, "repo": orphan.repo, "path": orphan.path,
                "size": orphan.size, "found": orphan.found_at.isoformat(), "seen": orphan.seen_at.isoformat(),
                "state": state,
            }
        )  # fmt: skip
    return f"{orphan.pk}: account {orphan.account_id}, {orphan.repo}/{orphan.path}, {orphan.size} bytes, {state}"
