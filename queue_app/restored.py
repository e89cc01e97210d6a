"""Jobs of videos that are restored to the store, and where stored videos came from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from django.db import connection

from queue_app.models import VideoQueue
from storage_app.manifest import Manifest, key_of
from storage_app.models import VideoStore
from storage_app.naming import VideoKey

Sources = dict[VideoKey, dict[str, str]]


def restore_jobs(manifests: Sequence[Manifest], *, actor: str, reason: str, lease_token: UUID | None = None) -> int:
    """A ready job for each of these videos; one in work is left alone, but for that of the lease. How many changed."""
    videos = [
        {
            "mal_id": manifest.key.mal_id, "episode": manifest.key.episode, "provider": manifest.key.provider,
            "resolution": manifest.key.resolution, "archived_at": manifest.archived_at.isoformat(),
            "video_url": (manifest.source or {}).get("video_url") or manifest.stream_url,
            "page_url": (manifest.source or {}).get("page_url", ""),
        }
        for manifest in manifests
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT restore_videos(%s, %s, %s, %s)", [json.dumps(videos), actor, reason, lease_token])
        return int(cursor.fetchone()[0])


def ready_jobs(actor: str, reason: str) -> Callable[[Sequence[Manifest]], None]:
    """`restore_jobs` as the store calls it."""

    def restore(manifests: Sequence[Manifest]) -> None:
        restore_jobs(manifests, actor=actor, reason=reason)

    return restore


def sources_of(videos: Iterable[VideoStore]) -> Sources:
    """Where these videos came from, as far as their jobs are still known."""
    keys = {key_of(video) for video in videos}
    found: Sources = {}
    jobs = VideoQueue.objects.filter(
        mal_id__in={key.mal_id for key in keys}, episode__in={key.episode for key in keys}
    ).values_list("mal_id", "episode", "provider", "resolution", "video_url", "page_url")
    for mal_id, episode, provider, resolution, url, page in jobs:
        key = VideoKey(mal_id, episode, provider, resolution)
        if key in keys:
            found[key] = {"video_url": url, "page_url": page}
    return found
