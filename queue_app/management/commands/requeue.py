"""`manage.py requeue ID…`: gives failed jobs all their attempts again."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queue_app import steering
from queue_app.failures import FAILURE_CLASSES
from queue_app.management.jobs import ACTOR, add_job_arguments, report

REASON = "Requeued with manage.py."


class Command(BaseCommand):
    """Exit code 1 when one of the jobs isn't known or isn't failed; the others are requeued all the same."""

    help = "Put failed jobs back to pending: those named, or all of them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which jobs."""
        add_job_arguments(parser, nargs="*")
        parser.add_argument("--all-failed", action="store_true", help="Every job that has failed.")
        parser.add_argument(
            "--class", dest="failure_class", choices=FAILURE_CLASSES, help="With --all-failed: only of this class."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Requeue and tell."""
        if bool(options["ids"]) == options["all_failed"]:
            raise CommandError("Name the jobs by their ids, or say --all-failed.")
        if options["failure_class"] and not options["all_failed"]:
            raise CommandError("--class goes with --all-failed; jobs that are named need none.")
        if not options["all_failed"]:
            outcome = steering.requeue(options["ids"], actor=ACTOR, reason=REASON)
            report(self, outcome, "requeued", "only failed jobs can be requeued", as_json=options["json"])
            return
        number = steering.requeue_failed(options["failure_class"], actor=ACTOR, reason=REASON)
        self.stdout.write(json.dumps({"requeued": number}) if options["json"] else f"{number} requeued.")
