"""`manage.py import_files FOLDER`: takes an existing folder of videos into the store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queue_app.failures import Cancelled, Failure
from queue_app.file_import import Busy, import_file, known_as
from queue_app.file_keys import DEFAULT_PATTERN, Candidate, NotUnderstood, by_list, by_pattern
from storage_app.backends.base import StorageError
from storage_app.models import AccountKind, StorageAccount
from storage_app.naming import VideoKey


class Command(BaseCommand):
    """Exit code 0: all are in; 1: some were refused, the others are in; 130: interrupted, run it again."""

    help = (
        "Import the videos of a folder: each is proven whole, put on the storage accounts and published, as if it had "
        "been downloaded. What is archived already is left alone, so running it again goes on where it ended. "
        "NAME.jpg and NAME.en.vtt beside NAME.mp4 come along."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The folder, and which video each file is."""
        parser.add_argument("folder")
        parser.add_argument(
            "--pattern",
            default=DEFAULT_PATTERN,
            help="Each file's path in the folder, without its suffix: {mal_id}, {episode}, {provider}, {resolution}, "
            "{title}, and {any} for what doesn't matter. Default: %(default)s. A manifest beside a file, NAME.json, "
            "comes first.",
        )
        parser.add_argument("--csv", help="A list in its place: file, mal_id, episode, provider, resolution, title.")
        parser.add_argument("--provider", default="upload", help="Where nothing else says it. Default: %(default)s.")
        parser.add_argument("--resolution", default="", help="Where nothing else says it.")
        parser.add_argument("--dry-run", action="store_true", help="Say what each file is; prove and store nothing.")
        keep = parser.add_mutually_exclusive_group()
        keep.add_argument("--copy", action="store_true", help="Leave the files where they are; the default.")
        keep.add_argument("--move", action="store_true", help="Delete each file once it is published.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """One file after the other."""
        folder = Path(options["folder"])
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder.")
        _refuse_storage(folder)
        done: dict[str, list[Any]] = {"imported": [], "known": [], "refused": []}
        try:
            for candidate in _candidates(folder, options):
                self._take(candidate, done, dry_run=options["dry_run"], move=options["move"], quiet=options["json"])
        except (NotUnderstood, OSError) as error:
            raise CommandError(getattr(error, "strerror", None) or str(error)) from None
        except KeyboardInterrupt:
            self.stderr.write(f"Interrupted after {len(done['imported'])} files. Run it again for the others.")
            sys.exit(130)
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], **done}, ensure_ascii=False))
        else:
            would = "Would be: " if options["dry_run"] else ""
            self.stdout.write(
                f"{would}{len(done['imported'])} imported, {len(done['known'])} known already, "
                f"{len(done['refused'])} refused."
            )
        if done["refused"]:
            sys.exit(1)

    def _take(
        self, candidate: Candidate, done: dict[str, list[Any]], *, dry_run: bool, move: bool, quiet: bool
    ) -> None:
        key = candidate.key
        if key is None:
            self._refuse(candidate, candidate.fault, done)
            return
        known = known_as(key)
        if known == "archived":
            done["known"].append(candidate.name)
            return
        if known:
            self._refuse(candidate, f"{_name(key)} is {known} by a worker.", done)
            return
        try:
            accounts = [] if dry_run else import_file(candidate, key)
        except (Failure, Busy, Cancelled, StorageError, OSError) as error:
            self._refuse(candidate, str(error), done)
            return
        done["imported"].append({"file": candidate.name, "video": _name(key), "copies": len(accounts)})
        if move and not dry_run:
            candidate.path.unlink(missing_ok=True)
        if not quiet:
            self.stdout.write(f"{candidate.name}: {_name(key)}{f', {len(accounts)} copies' if accounts else ''}")

    def _refuse(self, candidate: Candidate, why: str, done: dict[str, list[Any]]) -> None:
        done["refused"].append({"file": candidate.name, "reason": why})
        self.stderr.write(f"{candidate.name}: {why}")


def _refuse_storage(folder: Path) -> None:
    """What lies in a local account is a copy already: storing it would find it, and --move then delete it."""
    asked = folder.resolve()
    for account in StorageAccount.objects.filter(kind=AccountKind.LOCAL).exclude(root=""):
        root = Path(account.root).resolve()
        if asked.is_relative_to(root) or root.is_relative_to(asked):
            raise CommandError(
                f"{folder} is a storage account's own folder; use rebuild_store. It is, lies in, or holds {root} of "
                f"account {account}."
            )


def _candidates(folder: Path, options: dict[str, Any]) -> Iterator[Candidate]:
    defaults = {"provider": options["provider"], "resolution": options["resolution"]}
    if options["csv"]:
        return by_list(folder, Path(options["csv"]), defaults)
    return by_pattern(folder, options["pattern"], defaults)


def _name(key: VideoKey) -> str:
    """For people."""
    parts = (str(key.mal_id), f"episode {key.episode}", key.provider, key.resolution or "")
    return " · ".join(part for part in parts if part)
