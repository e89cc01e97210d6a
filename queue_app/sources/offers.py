"""What there is of an episode: its registered sources and its archived videos, found by one query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from queue_app.sources.resolving import STALE_FOR, Known
from queue_app.sources.wanted import Wanted
from storage_app.naming import VideoKey

VIEWER = "viewer"
"""Who enqueues what is played before anybody has asked for it."""


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
        cursor.execute("SELECT * FROM offers_of_episode(%s, %s, %s)", (mal_id, episode, STALE_FOR))  # type: ignore[arg-type]
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
    provider, resolution, label, url, resolver, archived, status, *known = row
    wanted = Wanted(url, resolution, resolver)
    return Offer(VideoKey(mal_id, episode, provider, resolution), label, wanted, archived, status, Known(*known))


def _unknown(offers: Iterable[Offer]) -> Iterator[Offer]:
    """The first source of each video that has neither a job nor a copy."""
    seen: set[VideoKey] = set()
    for offer in offers:
        if not offer.archived and offer.status is None and offer.key not in seen:
            seen.add(offer.key)
            yield offer
