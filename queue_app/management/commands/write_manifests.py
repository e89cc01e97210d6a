"""`manage.py write_manifests`: puts a manifest beside every video that has none."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from queue_app.management.rebuilding import ACTOR, end, in_batches, print_json
from queue_app.restored import sources_of
from storage_app.backends.base import StorageError
from storage_app.manifest import key_of, refresh
from storage_app.models import SidecarKind, VideoStore


class Command(BaseCommand):
    """Exit code 0: all have one; 1: some could not be written, run it again; 130: interrupted."""

    help = (
        "Write the manifests of videos that older versions archived, so that the store can be rebuilt from its "
        "accounts. Running it again does what is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which videos."""
        parser.add_argument("--all", action="store_true", help="Look at all videos, and write what is out of date.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write, and tell what could not be."""
        videos = VideoStore.objects.filter(stored_file__isnull=False)
        if not options["all"]:
            videos = videos.exclude(sidecars__kind=SidecarKind.MANIFEST)
        done, failed = 0, 0
        try:
            for batch in in_batches(videos):
                sources = sources_of(batch)
                for video in batch:
                    try:
                        done += refresh(video, actor=ACTOR, source=sources.get(key_of(video))) is not None
                    except (StorageError, ValueError) as error:  # ValueError: it would be too large
                        failed += 1
                        self.stderr.write(f"{video}: {error}")
        except KeyboardInterrupt:
            self.stderr.write(f"Interrupted after {done} videos. Run it again for the others.")
            sys.exit(130)
        if options["json"]:
            print_json(self, {"written": done, "failed": failed})
        else:
            self.stdout.write(f"{done} videos have their manifest{f', {failed} could not get it' if failed else ''}.")
        end(well=not failed)
