"""`manage.py import_manifest FILE`: registers the videos of a list that `export_manifest` wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from queue_app.management.rebuilding import ACTOR, BATCH, as_numbers, end, print_json, summary, tell_faults
from queue_app.restored import ready_jobs
from storage_app.confirming import Confirming
from storage_app.manifest import Manifest, ManifestRefused, parse
from storage_app.manifest_format import MAX_BYTES
from storage_app.models import StorageAccount
from storage_app.restoring import Found, Registered, register

STDIN = "-"
READERS = 8
REASON = "Registered from a list of manifests."


class Command(BaseCommand):
    """Exit code 0: all is registered; 1: something could not be, and was told."""

    help = (
        "Register the videos of a JSON Lines file of manifests. Each file of theirs is looked for on every account and "
        "counts only where the account confirms it. Only what is missing is added."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The file and how carefully."""
        parser.add_argument("file", help="Path of the file; - for standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be registered; write nothing.")
        parser.add_argument("--verify", action="store_true", help="Read every copy from end to end; takes long.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read, confirm, register."""
        state, refused = Registered(), 0
        try:
            with _open(options["file"]) as file, ThreadPoolExecutor(max_workers=READERS) as pool:
                confirming = Confirming(StorageAccount.objects.filter(retired_at=None).order_by("index"), pool)
                for manifests, faults in _batches(file):
                    refused += len(faults)
                    done = _register(confirming, manifests, dry_run=options["dry_run"], verify=options["verify"])
                    tell_faults(self, [*faults, *done.faults, *confirming.faults])
                    confirming.faults.clear()
                    done.faults.clear()
                    state.add(done)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}.") from None
        if options["json"]:
            print_json(self, {"dry_run": options["dry_run"], "refused": refused, **as_numbers(state)})
        else:
            self.stdout.write(summary(state, dry_run=options["dry_run"]))
            if refused:
                self.stdout.write(f"{refused} lines are no manifest that can be used; see above.")
        end(well=not (refused or state.without_copy or state.sidecars_without_copy))


def _register(confirming: Confirming, manifests: list[Manifest], *, dry_run: bool, verify: bool) -> Registered:
    found = [Found(manifest, None) for manifest in manifests]
    files = dict.fromkeys(file for one in found for file in one.files())
    questions = [(file, account) for account in confirming.accounts for file in files]
    copies = confirming.by_stat(questions, read=verify)
    with transaction.atomic():
        done = register(found, copies, ready_jobs(ACTOR, REASON), actor=ACTOR)
        transaction.set_rollback(dry_run)
    return done


def _batches(file: BinaryIO) -> Iterator[tuple[list[Manifest], list[str]]]:
    """Manifests, and what is wrong with other lines. A line that is too long is never held as a whole."""
    manifests: list[Manifest] = []
    faults: list[str] = []
    number = 0
    while line := file.readline(MAX_BYTES + 1):
        number += 1
        whole = line
        while len(line) > MAX_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_BYTES + 1)
        if whole.strip():
            try:
                manifests.append(parse(whole))
            except ManifestRefused as error:
                faults.append(f"Line {number}: {error}")
        if len(manifests) + len(faults) >= BATCH:
            yield manifests, faults
            manifests, faults = [], []
    if manifests or faults:
        yield manifests, faults


@contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file
