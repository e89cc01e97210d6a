"""`manage.py drain WORKER…`: has workers finish what they have and take nothing new."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from queue_app import steering


class Command(BaseCommand):
    """Exit code 1 when one of the workers isn't known; the others are told all the same."""

    help = "Have workers take no more downloads, until --undo; also over their restarts."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which workers, and which way."""
        parser.add_argument("workers", nargs="+", metavar="WORKER", help="Its id, as in the admin's list of workers.")
        parser.add_argument("--undo", action="store_true", help="They take jobs again.")
        parser.add_argument("--json", action="store_true", help="Print what was done as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Tell the workers, and who was told."""
        found = steering.drain(options["workers"], draining=not options["undo"])
        unknown = [worker for worker in dict.fromkeys(options["workers"]) if worker not in found]
        done = "taking_jobs" if options["undo"] else "draining"
        if options["json"]:
            self.stdout.write(json.dumps({done: found, "unknown": unknown}))
        else:
            for worker in found:
                self.stdout.write(f"{worker}: {'takes jobs again' if options['undo'] else 'takes no more downloads'}")
        for worker in unknown:
            self.stderr.write(f"{worker}: there is no worker with this id; the admin lists those there are.")
        if unknown:
            sys.exit(1)
