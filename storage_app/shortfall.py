"""Asks for the copies that files lack right after they have been put into the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from storage_app.backends.base import StorageUnavailableError
from storage_app.models import Replica, StoredFile, TaskKind, VideoStore
from storage_app.placement import place
from storage_app.upkeep.tasks import ask_for

REASON = "Restored from its manifest with fewer copies than are wanted."


def ask_for_copies(files: Collection[StoredFile], actor: str) -> int:
    """Write down how many copies the placement wants of each, and ask for those that accounts in use could take now;
    how many files lack some. Placements are asked for by work, not by file."""
    works: dict[Any, set[int]] = {file.pk: _work_of(file.path) for file in files}
    for file_id, work in VideoStore.objects.filter(stored_file__in=files).values_list("stored_file_id", "mal_id"):
        works[file_id].add(work)
    holders = Replica.objects.filter(stored_file__in=files, account__enabled=True, account__retired_at=None)
    have = Counter(holders.values_list("stored_file_id", flat=True))
    placements = {group: _placement(group) for group in {frozenset(found) for found in works.values()}}
    number = 0
    for wanted in {wanted for _possible, wanted in placements.values() if wanted}:
        ids = [file.pk for file in files if placements[frozenset(works[file.pk])][1] == wanted]
        StoredFile.objects.filter(pk__in=ids).exclude(copies_wanted=wanted).update(copies_wanted=wanted)
    for file in files:
        possible, _wanted = placements[frozenset(works[file.pk])]
        if have[file.pk] < possible:
            ask_for(TaskKind.REPLICATE, stored_file=file, reason=REASON, actor=actor)
            number += 1
    return number


def _placement(works: frozenset[int]) -> tuple[int, int | None]:
    """Copies that there are accounts for, and that are wanted. Neither depends on a file's size."""
    try:
        found = place(works, 0)
    except StorageUnavailableError:  # nothing is to be done now, and it is unknown what is wanted
        return 0, None
    return len(found.accounts), found.wanted


def _work_of(path: str) -> set[int]:
    """The work that a path is of (CONTRACT §1.2); none where it isn't formed like that."""
    first = path.partition("/")[0]
    return {int(first)} if first.isascii() and first.isdigit() and len(first) < 20 and int(first) < 2**63 else set()
