"""What accounts list, kept in a temporary table of this database session: no list is too long for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import connection

from storage_app.backends.base import ListedObject
from storage_app.manifest_format import MAX_BYTES
from storage_app.models import StorageAccount

_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS listed_object (
    account integer NOT NULL, repo text NOT NULL, path text NOT NULL, size bigint NOT NULL, sha256 text,
    etag text NOT NULL
);
TRUNCATE listed_object
"""
# A manifest whose every listed copy is known as a copy has been restored, with all that it names.
_MANIFESTS = """
SELECT l.repo, l.path, min(l.size) FROM listed_object l
WHERE (l.repo, l.path) > (%s, %s) AND l.path ~ '^[0-9]+/ep[0-9]+/[0-9A-Za-z_-]+[.]json$'
GROUP BY l.repo, l.path
HAVING NOT coalesce(bool_and(EXISTS (
    SELECT 1 FROM stored_file f JOIN replica r ON r.stored_file_id = f.id JOIN sidecar s ON s.stored_file_id = f.id
    WHERE f.path = l.path AND f.repo = l.repo AND f.size = l.size AND r.account_id = l.account
      AND (l.sha256 IS NULL OR l.sha256 = f.sha256)
)), false)
ORDER BY l.repo, l.path LIMIT %s
"""


@dataclass(frozen=True)
class ListedCopy:
    """An object of one account's list."""

    account: int
    listed: ListedObject


class ListedObjects:
    """The lists of all accounts. One at a time in a database session."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_TABLE)

    def add(self, account: StorageAccount, objects: Iterator[ListedObject]) -> int:
        """Keep what an account lists; how many objects. Raises StorageError, and then keeps what came before it."""
        number = 0
        row = "INSERT INTO listed_object VALUES (%s, %s, %s, %s, %s, %s)"
        batch: list[tuple[str | int | None, ...]] = []
        with connection.cursor() as cursor:
            try:
                for listed in objects:
                    if not _is_text(listed.path):
                        continue
                    place = (account.index, listed.repo, listed.path)
                    batch.append((*place, listed.size, listed.sha256, listed.etag))
                    number += 1
                    if len(batch) == 1000:
                        cursor.executemany(row, batch)
                        batch.clear()
            finally:
                cursor.executemany(row, batch)
        return number

    def arrange(self) -> None:
        """To be called once all accounts are in."""
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX IF NOT EXISTS listed_object_place ON listed_object (repo, path)")
            cursor.execute("ANALYZE listed_object")

    def manifests(self, batch: int) -> Iterator[list[tuple[str, str]]]:
        """The places of what may be manifests and isn't restored from every account yet, so many at a time, in order.

        What is too large for one is left out.
        """
        last = ("", "")
        while True:
            with connection.cursor() as cursor:
                cursor.execute(_MANIFESTS, [*last, batch])
                rows = cursor.fetchall()
            if not rows:
                return
            yield [(repo, path) for repo, path, size in rows if 0 < size <= MAX_BYTES]
            last = rows[-1][:2]

    def at(self, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[ListedCopy]]:
        """What lies at these places (repository, path), by account."""
        found: dict[tuple[str, str], list[ListedCopy]] = {place: [] for place in places}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT l.account, l.repo, l.path, l.size, l.sha256, l.etag FROM listed_object l"
                " JOIN unnest(%s::text[], %s::text[]) AS p (repo, path) ON (p.repo, p.path) = (l.repo, l.path)"
                " ORDER BY l.account",
                [[repo for repo, _path in found], [path for _repo, path in found]],
            )
            for account, *listed in cursor.fetchall():
                one = ListedObject(*listed)
                found[one.repo, one.path].append(ListedCopy(account, one))
        return found


def _is_text(path: str) -> bool:
    """A folder may hold names that are no text; none of them is ours."""
    return path.isprintable()
