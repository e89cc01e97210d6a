"""What to make of the objects that an account lists: which row each belongs to, and what to do with those of none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from storage_app.backends.base import ListedObject
from storage_app.models import Orphan, Replica, StorageAccount, StoredFile, TaskKind, VideoStore
from storage_app.upkeep import jobs
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat
from storage_app.upkeep.reading import compared, naming, read_back
from storage_app.upkeep.tasks import ask_for


@dataclass(frozen=True)
class Row:
    """A stored file at a place, and its copy's id if the account has a row for one."""

    file: UUID
    sha256: str
    size: int
    replica: UUID | None

    def fits(self, found: ListedObject) -> bool:
        """Is it this content, as far as the list tells?"""
        return found.size == self.size and found.sha256 in {None, self.sha256}


def rows_at(account: StorageAccount, batch: Sequence[ListedObject]) -> dict[tuple[str, str], list[Row]]:
    """The stored files at the places of these objects."""
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.repo, f.path, f.id, f.sha256, f.size, r.id FROM unnest(%s::text[], %s::text[]) AS o(repo, path)"
            " JOIN stored_file f ON f.repo = o.repo AND f.path = o.path"
            " LEFT JOIN replica r ON r.stored_file_id = f.id AND r.account_id = %s",
            [[found.repo for found in batch], [found.path for found in batch], account.pk],
        )
        for repo, path, *row in cursor.fetchall():
            rows[repo, path].append(Row(*row))
    return rows


def expected_at(rows: Sequence[Row], found: ListedObject) -> StoredFile | None:
    """The file that some video has at this place, if the object may be it."""
    for row in rows:
        file = StoredFile.objects.filter(pk=row.file).first() if row.fits(found) else None
        if file is not None and jobs.in_use(file):
            return file
    return None


def adopt(account: StorageAccount, file: StoredFile, beat: Beat) -> int:
    """Gives a content that is there its row, once it was seen to be whole: 1, else 0. Raises StorageError."""
    if account.draining or jobs.being_stored(file.path):
        return 0
    with naming(account) as backend:
        known = backend.stat(file.repo, file.path)
    told = known.sha256 is not None
    seen = compared(file, known.size, known.sha256) if told else read_back(file, account, lambda _done: beat.check())
    if not seen.good:
        return 0
    _, made = Replica.objects.get_or_create(stored_file=file, account=account, defaults={"etag": known.etag})
    if made:
        text = f"A copy of {file.path} was found on account {account} that no table knew; it counts again."
        record("adopted", text, account=account.index, file=file)
        ask_for(TaskKind.REPLICATE, stored_file=file, reason=text)
    return int(made)


def note_orphans(account: StorageAccount, objects: Sequence[ListedObject]) -> int:
    """Notes those that no table knows and no job is storing; how many. A repository's own files (README.md,
    .gitattributes) lie at its top, where we store nothing."""
    inside = [found for found in objects if "/" in found.path]
    if not inside:
        return 0
    busy = jobs.episodes_in_work([found.path for found in inside], jobs.UNENDED)
    known = _known_to_older_clients(account, inside)
    orphans = [
        Orphan(account=account, repo=found.repo, path=found.path, size=found.size, seen_at=Now())
        for found in inside
        if found.path.rpartition("/")[0] not in busy and (found.repo, found.path) not in known
    ]
    Orphan.objects.bulk_create(
        orphans, update_conflicts=True, unique_fields=["account", "repo", "path"], update_fields=["size", "seen_at"]
    )
    return len(orphans)


def _known_to_older_clients(account: StorageAccount, objects: Sequence[ListedObject]) -> set[tuple[str, str]]:
    """Places that rows of video_store without a stored file name."""
    keys = {found.path.rpartition("/")[2].partition(".")[0] for found in objects}
    rows = VideoStore.objects.filter(file_key__in=keys, hf_account=account.index, stored_file=None)
    prefix = f"{account.username}/"
    return {(repo.removeprefix(prefix), path) for repo, path in rows.values_list("hf_repo", "hf_path")}
