"""`manage.py replicate`: has the keepers bring videos to the copies that they should have."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from storage_app.management.subjects import ACTOR, files_of
from storage_app.models import TaskKind
from storage_app.upkeep.sweep import look_again
from storage_app.upkeep.tasks import ask_for


class Command(BaseCommand):
    """The running workers do it; this only asks."""

    help = "Ask for the copies that videos lack."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which videos."""
        parser.add_argument("videos", nargs="*", metavar="KEY", help="A video's id, file key or path.")
        parser.add_argument("--all", action="store_true", help="Look at every file of the store anew.")
        parser.add_argument("--json", action="store_true", help="Print how many files were asked for as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and tell."""
        if bool(options["videos"]) == options["all"]:
            raise CommandError("Name the videos, or say --all.")
        if options["all"]:
            number = look_again()
        else:
            files = [file for name in options["videos"] for file in files_of(name)]
            for file in files:
                ask_for(TaskKind.REPLICATE, stored_file=file, reason="Asked for with manage.py.", actor=ACTOR)
            number = len(files)
        self.stdout.write(json.dumps({"asked": number}) if options["json"] else f"{number} files asked for.")
