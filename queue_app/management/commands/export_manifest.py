"""`manage.py export_manifest`: writes what the store knows to a file, one video a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queue_app.management.rebuilding import end, in_batches
from queue_app.restored import sources_of
from storage_app.manifest import key_of, of_video
from storage_app.models import StorageAccount, VideoStore

STDOUT = "-"


class Command(BaseCommand):
    """Exit code 0; 1: some could not be written, and were told. Videos that an older client stored, telling no content,
    can't be described and are counted."""

    help = "Write the manifests of all videos as JSON Lines; `import_manifest` reads them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument("--output", default=STDOUT, help="The file to write; - for standard output.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write, and tell on standard error how many."""
        written, failed = 0, 0
        accounts = StorageAccount.objects.in_bulk()
        try:
            with _open(options["output"]) as file:
                for batch in in_batches(VideoStore.objects.filter(stored_file__isnull=False)):
                    sources = sources_of(batch)
                    for video in batch:
                        manifest = of_video(video, source=sources.get(key_of(video)), accounts=accounts)
                        try:
                            file.write(manifest.as_bytes())
                            written += 1
                        except ValueError as error:
                            failed += 1
                            self.stderr.write(f"{manifest.name}: {error}")
        except OSError as error:
            raise CommandError(f"{options['output']}: {error.strerror}.") from None
        left = VideoStore.objects.filter(stored_file=None).count()
        self.stderr.write(f"{written} videos written{f', {left} without a known content left out' if left else ''}.")
        end(well=not failed)


@contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    """The file appears under its name only when it is whole."""
    if name == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    target = Path(name)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
