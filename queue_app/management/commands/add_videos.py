"""`manage.py add_videos FILE`: takes a whole list of videos into the queue."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from queue_app.imports import Summary, import_videos, is_revived
from queue_app.intake import Refused, Taken
from queue_app.video_files import EXTENSIONS, FileRefused, read_videos

STDIN = "-"


class Command(BaseCommand):
    """Exit code 0: all taken; 1: some were refused, the others are in; 130: interrupted, run it again."""

    help = (
        "Enqueue the videos of a file: CSV with a header row, or JSON Lines, with mal_id, episode, provider, "
        "video_url, and if wanted resolution, priority, page_url and mirrors (URLs with spaces between them). Running "
        "it again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The file and how to read it."""
        parser.add_argument("file", help="Path of the file; - for standard input.")
        parser.add_argument("--format", choices=sorted(set(EXTENSIONS.values())), help="Else by the file's extension.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would happen to each line; write nothing.")
        parser.add_argument("--json", action="store_true", help="Print the summary as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read, take, and tell how it went."""
        form = options["format"] or EXTENSIONS.get(Path(options["file"]).suffix.lower())
        if form is None:
            raise CommandError(f"{options['file']} has no extension that says what it is: add --format csv or jsonl.")
        summary = Summary()
        try:
            with _open(options["file"]) as file, self._progress(file) as progress:
                tell = _Told(progress.console, self.stdout if options["dry_run"] and not options["json"] else None)
                task = progress.add_task("Reading", total=_size(file))
                for summary in import_videos(read_videos(file, form), dry_run=options["dry_run"], tell=tell):
                    progress.update(task, completed=_position(file, summary), description=f"{summary.lines} videos")
        except (FileRefused, OSError) as error:
            raise CommandError(f"{options['file']}: {getattr(error, 'strerror', None) or error}") from None
        except KeyboardInterrupt:
            self.stderr.write(f"Interrupted after {summary.lines} videos, which are in. Run it again for the others.")
            sys.exit(130)
        self._report(summary, options)
        if summary.refused:
            sys.exit(1)

    def _progress(self, file: BinaryIO) -> Progress:
        columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)

    def _report(self, summary: Summary, options: dict[str, Any]) -> None:
        if options["json"]:
            data = {"dry_run": options["dry_run"], "lines": summary.lines, **vars(summary)}
            self.stdout.write(json.dumps(data, ensure_ascii=False))
            return
        known = ", ".join(f"{number} {status}" for status, number in sorted(summary.known.items()))
        self.stdout.write(
            f"{'Would be: ' if options['dry_run'] else ''}{summary.new} new, {summary.revived} revived, "
            f"{summary.known.total()} known{f' ({known})' if known else ''}, {summary.refused} refused."
        )


class _Told:
    """Says of a line why it was refused, and in a dry run what would become of it."""

    def __init__(self, errors: Console, output: Any) -> None:
        self._errors = errors
        self._output = output

    def __call__(self, line: int, result: Taken | Refused) -> None:
        if isinstance(result, Refused):
            for field, sentences in result.errors.items():
                text = f"line {line}: refused: {'' if field == 'line' else f'{field}: '}{' '.join(sentences)}"
                self._errors.print(text, markup=False, highlight=False, soft_wrap=True)
        elif self._output is not None:
            key = result.key
            name = " · ".join(
                str(part) for part in (key.mal_id, key.episode, key.provider, key.resolution) if part is not None
            )
            self._output.write(f"line {line}: {_fate(result)}: {name}")


def _fate(taken: Taken) -> str:
    if taken.result.before is None:
        return "new"
    return f"{'revived' if is_revived(taken) else 'known'} ({taken.result.before})"


@contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


def _size(file: BinaryIO) -> int | None:
    return os.fstat(file.fileno()).st_size if file is not sys.stdin.buffer else None


def _position(file: BinaryIO, summary: Summary) -> int:
    return summary.lines if file is sys.stdin.buffer else file.tell()
