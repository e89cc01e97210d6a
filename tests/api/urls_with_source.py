"""The site's URL map, with a queue and sources that a test says."""

from __future__ import annotations

from archive_site import urls
from storage_app.api.lookup import LookupView
from storage_app.api.stream import StreamView
from storage_app.naming import VideoKey
from storage_app.playback.source import PlayableSource

sources: dict[VideoKey, PlayableSource] = {}
"""By the keys of videos that have a job."""


def queue_status(key: VideoKey) -> str | None:
    """The status of the job."""
    return sources[key].status if key in sources else None


async def source_of(key: VideoKey) -> PlayableSource | None:
    """Where it can be played from."""
    return sources.get(key)


_KEY = "<str:mal_id>/<str:episode>/<str:provider>/<str:resolution>"
_GIVEN = {"queue_status": queue_status, "source_of": source_of}

urlpatterns = [
    *urls.either(f"stream/{_KEY}", StreamView.as_view(**_GIVEN), "stream"),
    *urls.either(f"api/v1/store/{_KEY}", LookupView.as_view(**_GIVEN), "lookup"),
    *urls.urlpatterns,
]
handler400, handler404, handler500 = urls.handler400, urls.handler404, urls.handler500
