"""`manage.py import_sources FILE`: registers works and their sources."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queue_app.sources.manifest import MAX_BYTES, ManifestRefused, Registered, read, register

STDIN = "-"


class Command(BaseCommand):
    """Exit code 0: all is registered; 1: something was refused, and nothing was written."""

    help = (
        "Register the works of a JSON file with their sources (docs/sources.md). Each work's sources take the place of "
        "those it had; works that the file doesn't name stay as they are. Running it again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The file and how to take it."""
        parser.add_argument("file", help="Path of the file; - for standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would change; write nothing.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read, check, write, and tell."""
        try:
            done = register(read(_content(options["file"])), dry_run=options["dry_run"])
        except ManifestRefused as refused:
            for fault in refused.faults:
                self.stderr.write(fault)
            raise CommandError(f"{options['file']} is refused; nothing was written.") from None
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}.") from None
        if options["json"]:
            works = [asdict(one) for one in done]
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "works": works}, ensure_ascii=False))
            return
        for one in done:
            self.stdout.write(_line(one))
        self.stdout.write(f"{'Would be registered' if options['dry_run'] else 'Registered'}: {len(done)} works.")


def _line(one: Registered) -> str:
    changes = one.changes
    counts = f"{changes.added} sources added, {changes.changed} changed, {changes.removed} removed"
    return f"{one.mal_id} {one.title}: {'new, ' if changes.created else ''}{counts}"


def _content(name: str) -> bytes:
    """Raises OSError, and CommandError for a file that is larger than any can be."""
    if name == STDIN:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with Path(name).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CommandError(f"{name} is larger than {MAX_BYTES // 1024**2} MiB. Give it in several files.")
    return content
