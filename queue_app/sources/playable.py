"""What `/stream/…` plays while a video isn't archived."""

from __future__ import annotations

import functools
import time

from django.conf import settings
from django.db import connection

from archive_site.database_threads import in_request_database
from queue_app.models import VideoQueue
from queue_app.sources.offers import enqueue_unknown
from queue_app.sources.resolving import Known, forget, known, resolved
from queue_app.sources.wanted import Wanted
from queue_app.states import VideoStatus
from storage_app.key_rules import filter_by
from storage_app.models import VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.source import PlayableSource

_REGISTERED = """
SELECT url, resolver FROM work_source
WHERE work_id = %s AND episode = %s AND provider = %s AND resolution IS NOT DISTINCT FROM %s AND enabled
ORDER BY position, id
"""


async def playable_source(key: VideoKey, dead: str = "") -> PlayableSource | None:
    """The URL that its job is about, else of a source that is registered for it, as a player can open it.

    None when nothing is known of the video, its job was cancelled, or nothing can be resolved within RESOLVE_SECONDS. A
    registered video that has no job yet is enqueued, unless the store has a row of it, which counts as a job that is
    ready. A video that was deleted has no job that isn't cancelled, unless somebody asked for it anew. `dead` is a URL
    that isn't wanted any more.
    """
    status, candidates = await in_request_database(lambda: _candidates(key))
    deadline = time.monotonic() + settings.RESOLVE_SECONDS
    for wanted, answer in candidates.items():
        url = (await resolved({wanted: answer}, max(0.0, deadline - time.monotonic())))[wanted]
        if url is not None and url != dead and status is not None:
            return PlayableSource(url, status, functools.partial(_instead, key, wanted, url))
    return None


async def _instead(key: VideoKey, wanted: Wanted, dead: str) -> str | None:
    """What the source is resolved to anew, else another one's URL."""
    await in_request_database(lambda: forget(wanted, dead))
    source = await playable_source(key, dead)
    return source.url if source is not None else None


def _candidates(key: VideoKey) -> tuple[str | None, dict[Wanted, Known]]:
    """The status of the video's job, and what may be played, the best first, with what is known of each."""
    with connection.cursor() as cursor:
        cursor.execute(_REGISTERED, [key.mal_id, key.episode, key.provider, key.resolution])
        registered = [Wanted(url, key.resolution, resolver) for url, resolver in cursor.fetchall()]
    job = _job(key)
    if job is None and registered:
        enqueue_unknown(key, registered[0].url)
        job = _job(key) or _stored(key)
    if job is None or job[0] == VideoStatus.CANCELLED:
        return None, {}
    by_url = {wanted.url: wanted for wanted in reversed(registered)}
    own = [by_url.get(url, Wanted(url, key.resolution)) for url in job[1:] if url]
    return job[0], known(list(dict.fromkeys([*own, *registered])))


def _job(key: VideoKey) -> tuple[str, str, str] | None:
    """Its status, its video URL and its page URL."""
    return VideoQueue.objects.filter(**filter_by(key)).values_list("status", "video_url", "page_url").first()


def _stored(key: VideoKey) -> tuple[str, str, str] | None:
    """As of a job that is done, where another program has written the store's row without one."""
    there = VideoStore.objects.filter(**filter_by(key)).exists()
    return (VideoStatus.READY, "", "") if there else None
