"""The URL that players are given."""

from __future__ import annotations

from django.conf import settings

from storage_app.naming import VideoKey


def stream_url(key: VideoKey) -> str:
    """The video's one URL, at the edge when a Worker is configured, else at this site."""
    return str(settings.CLOUDFLARE_WORKERS_URL or settings.PUBLIC_URL) + key.stream_path()
