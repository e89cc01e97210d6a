"""What the queue is doing, as far as copies are concerned. Its table is asked by name: the store knows no queue."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db import connection

from storage_app.models import Sidecar, StoredFile, VideoStore

_EPISODE = re.compile(r"(\d{1,18})/ep(\d{1,9})/")


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


def in_use(file: StoredFile) -> bool:
    """Does a video have this file?"""
    videos = VideoStore.objects.filter(stored_file=file)
    return videos.exists() or Sidecar.objects.filter(stored_file=file).exists()


def has_rival(file: StoredFile) -> bool:
    """Does a video have another content at the very same place? Then neither may be put over the other."""
    others = StoredFile.objects.filter(repo=file.repo, path=file.path).exclude(pk=file.pk)
    return any(in_use(other) for other in others)
