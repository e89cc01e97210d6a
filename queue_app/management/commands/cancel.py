"""`manage.py cancel ID…`: ends jobs short of their end."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from queue_app import steering
from queue_app.management.jobs import ACTOR, add_job_arguments, report


class Command(BaseCommand):
    """Exit code 1 when one of the jobs isn't known or has ended already; the others are cancelled all the same."""

    help = "Cancel jobs; a worker that is at one of them stops at its next heartbeat."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which jobs, and why."""
        add_job_arguments(parser, nargs="+")
        parser.add_argument("--reason", default="Cancelled with manage.py.", help="For the jobs' history.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Cancel and tell."""
        outcome = steering.cancel(options["ids"], actor=ACTOR, reason=options["reason"])
        report(self, outcome, "cancelled", "only jobs that have not ended can be cancelled", as_json=options["json"])
