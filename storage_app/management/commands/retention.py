"""`manage.py retention`: applies the retention rules now, or says what they would do."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat

from storage_app.retention import apply_all


class Command(BaseCommand):
    """The same as the daily schedule does."""

    help = "Delete the videos that enabled retention rules let go."

    def add_arguments(self, parser: CommandParser) -> None:
        """Only look, or do."""
        parser.add_argument("--dry-run", action="store_true", help="Say what every rule would delete; delete nothing.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Apply and tell."""
        results = apply_all(dry_run=options["dry_run"])
        if options["json"]:
            rows = [
                {"rule": done.rule.name, "enabled": done.rule.enabled, "videos": done.videos, "bytes": done.bytes}
                for done in results
            ]
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "rules": rows}, ensure_ascii=False))
            return
        for done in results:
            verb = "would delete" if options["dry_run"] else "deleted"
            state = "" if done.rule.enabled else " (not enabled)"
            self.stdout.write(
                f"{done.rule.name}{state}: {verb} {done.videos} videos of {filesizeformat(done.bytes)} a copy."
            )
        if not results:
            self.stdout.write("There is no rule that is enabled.")
