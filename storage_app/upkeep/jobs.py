"""What the queue is doing, as far as copies are concerned. Its table is asked by name: the store knows no queue."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db import connection

from storage_app.models import Sidecar, StoredFile, VideoStore
from storage_app.placement import work_of

_EPISODE = re.compile(r"(\d{1,18})/ep(\d{1,9})/")

UNENDED = ("pending", "downloading", "uploading")

_STORING = """
SELECT EXISTS (
    SELECT 1 FROM video_queue q
    WHERE q.status = 'uploading' AND (
        q.artifact -> 'place' = jsonb_build_array(%s::text, %s::text)
        OR q.lease_token IS NOT NULL AND (q.mal_id = %s::bigint OR q.artifact -> 'place' ->> 0 = %s)
    )
)
"""


def episodes_in_work(paths: Iterable[str], statuses: Iterable[str]) -> set[str]:
    """Of the folders of these paths (`55825/ep1`), those whose episode has a job in one of these states."""
    folders = {match.group(0)[:-1]: (int(match[1]), int(match[2])) for p in paths if (match := _EPISODE.match(p))}
    if not folders:
        return set()
    works, episodes = zip(*folders.values(), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT q.mal_id, q.episode FROM video_queue q"
            " JOIN unnest(%s::bigint[], %s::int[]) AS wanted(mal_id, episode) USING (mal_id, episode)"
            " WHERE q.status = ANY (%s)",
            [list(works), list(episodes), list(statuses)],
        )
        found = set(cursor.fetchall())
    return {folder for folder, episode in folders.items() if episode in found}


def being_stored(path: str) -> bool:
    """Is a job storing files of this path's episode just now? What lies there may be about to change."""
    return bool(episodes_in_work([path], ["uploading"]))


def storing_beside(repo: str, path: str) -> bool:
    """May a job rely on what lies at this place? One of another episode does, if it has the same content; and on the
    Hub one that is sending something to the same repository has perhaps been told that this content is there already.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STORING, [repo, path, _work_of(repo), repo])
        [(found,)] = cursor.fetchall()
    return bool(found)


def in_use(file: StoredFile) -> bool:
    """Does a video have this file?"""
    videos = VideoStore.objects.filter(stored_file=file)
    return videos.exists() or Sidecar.objects.filter(stored_file=file).exists()


def has_rival(file: StoredFile) -> bool:
    """Does a video have another content at the very same place? Then neither may be put over the other."""
    others = StoredFile.objects.filter(repo=file.repo, path=file.path).exclude(pk=file.pk)
    return any(in_use(other) for other in others)


def _work_of(repo: str) -> int | None:
    """None for a repository that isn't of a work, as orphans may lie in."""
    try:
        work = work_of(repo)
    except ValueError:
        return None
    return work if work < 2**63 else None
