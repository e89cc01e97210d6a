"""What the commands around manifests share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from django.core.management.base import BaseCommand
from django.db.models import QuerySet

from storage_app.models import VideoStore
from storage_app.restoring import Registered

ACTOR = "manage.py"
BATCH = 200


def in_batches(videos: QuerySet[VideoStore]) -> Iterator[list[VideoStore]]:
    """All of them, so many at a time; also while they are changed."""
    last = None
    while True:
        page = videos.order_by("pk") if last is None else videos.filter(pk__gt=last).order_by("pk")
        batch = list(page.select_related("stored_file").prefetch_related("sidecars__stored_file")[:BATCH])
        if not batch:
            return
        yield batch
        last = batch[-1].pk


def tell_faults(command: BaseCommand, faults: Iterable[str]) -> None:
    """One line each."""
    for fault in faults:
        command.stderr.write(fault)


def as_numbers(state: Registered) -> dict[str, object]:
    """For --json: everything but the sentences, which were told already."""
    return {name: value for name, value in asdict(state).items() if name != "faults"}


def summary(state: Registered, *, dry_run: bool) -> str:
    """In a sentence."""
    parts = {
        "restored": state.restored,
        "there already": state.known,
        "with another content by now": state.other_content,
        "deleted on purpose": state.deleted,
        "without any good copy": state.without_copy,
    }
    told = ", ".join(f"{number} {name}" for name, number in parts.items() if number or name == "restored")
    return (
        f"{'Would be: ' if dry_run else ''}{told}; {state.copies} copies found, {state.under_replicated} files with "
        "fewer copies than are wanted, which the keeper copies."
    )


def print_json(command: BaseCommand, data: dict[str, object]) -> None:
    """One line on standard output."""
    command.stdout.write(json.dumps(data, ensure_ascii=False, default=str))


def end(*, well: bool) -> None:
    """Exit code 1 unless all went well."""
    if not well:
        sys.exit(1)
