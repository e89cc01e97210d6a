"""What there is of an episode: its registered sources and its archived videos, found by one query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from queue_app.sources.resolving import KNOWN_SQL, Known
from queue_app.sources.wanted import KEY_SQL, Wanted
from storage_app.naming import VideoKey

VIEWER = "viewer"
"""Who enqueues what is played before anybody has asked for it."""

_SAME = """{0}.mal_id = %(mal_id)s AND {0}.episode = %(episode)s AND {0}.provider = s.provider
    AND {0}.resolution IS NOT DISTINCT FROM s.resolution"""

_OFFERS = f"""
WITH s AS (
    SELECT id, provider, resolution, label, url, resolver, position FROM work_source
    WHERE work_id = %(mal_id)s AND episode = %(episode)s AND enabled
)
SELECT s.provider, s.resolution, s.label, s.url, s.resolver, v.id IS NOT NULL, q.status, {KNOWN_SQL}, s.position, s.id
FROM s
LEFT JOIN video_store v ON {_SAME.format("v")} AND v.stored_file_id IS NOT NULL
LEFT JOIN video_queue q ON {_SAME.format("q")}
LEFT JOIN resolved_source r ON r.key = {KEY_SQL}
UNION ALL
SELECT v.provider, v.resolution, '', '', '', true, NULL, NULL, false, false, NULL, NULL
FROM video_store v
WHERE v.mal_id = %(mal_id)s AND v.episode = %(episode)s AND v.stored_file_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM s WHERE s.provider = v.provider AND s.resolution IS NOT DISTINCT FROM v.resolution
)
ORDER BY position NULLS LAST, id, provider, resolution
"""  # noqa: S608 - of constants


@dataclass(frozen=True)
class Offer:
    """One way to see an episode. Without a URL it is an archived video that no source is registered for any more."""

    key: VideoKey
    label: str
    wanted: Wanted
    archived: bool
    status: str | None
    """Of the video's job; None: there is none."""
    known: Known


def find_offers(mal_id: int, episode: int) -> list[Offer]:
    """In the order in which they are shown. What nobody has archived or enqueued yet is enqueued."""
    with connection.cursor() as cursor:
        cursor.execute(_OFFERS, {"mal_id": mal_id, "episode": episode})
        offers = [_offer(mal_id, episode, row) for row in cursor.fetchall()]
    for offer in _unknown(offers):
        enqueue_unknown(offer.key, offer.wanted.url)
    return offers


def enqueue_unknown(key: VideoKey, url: str, *, actor: str = VIEWER) -> bool:
    """Enqueues a video that has no job, in whatever state, and was never deleted; has it been?"""
    arguments = (key.mal_id, key.episode, key.provider, url, key.resolution, actor)
    with connection.cursor() as cursor:
        cursor.execute("SELECT enqueue_unknown_video(%s, %s, %s, %s, %s, %s)", arguments)
        return bool(cursor.fetchone()[0])


def _offer(mal_id: int, episode: int, row: tuple[Any, ...]) -> Offer:
    provider, resolution, label, url, resolver, archived, status, *known = row[:10]
    wanted = Wanted(url, resolution, resolver)
    return Offer(VideoKey(mal_id, episode, provider, resolution), label, wanted, archived, status, Known(*known))


def _unknown(offers: Iterable[Offer]) -> Iterator[Offer]:
    """The first source of each video that has neither a job nor a copy."""
    seen: set[VideoKey] = set()
    for offer in offers:
        if not offer.archived and offer.status is None and offer.key not in seen:
            seen.add(offer.key)
            yield offer
