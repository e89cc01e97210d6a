"""What may be fetched, and how much at once: the settings, as the downloaders take them."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from archive_site.safe_http import Policy
from queue_app.downloaders.base import Limits
from queue_app.media.caps import GIB, Caps
from queue_app.media.ffmpeg import Tools, find_tools


def fetch_policy() -> Policy:
    """Where foreign URLs may lead, by the settings."""
    return Policy(allow_hosts=settings.FETCH_ALLOW_HOSTS, proxy=settings.FETCH_PROXY or None)


def fetch_limits() -> Limits:
    """How much one download may take, by the settings."""
    return Limits(
        max_bytes=settings.MAX_VIDEO_BYTES,
        connections=settings.DOWNLOAD_CONNECTIONS,
        hls_connections=settings.HLS_CONNECTIONS,
        max_rate=settings.MAX_DOWNLOAD_RATE or None,
        host_connections=settings.HOST_CONNECTIONS,
        shared=Path(settings.REELKEEP_DATA) / "limits" / settings.WORKER_ID,
        tools=media_tools(),
        live_seconds=settings.MAX_LIVE_HOURS * 3600,
        keep_refused=settings.QUARANTINE_DIR is not None,
        page_seconds=settings.PAGE_SECONDS,
        browser=settings.BROWSER,
    )


def media_tools() -> Tools:
    """ffmpeg and ffprobe, and what they may take, by the settings. Raises Internal when there are none."""
    caps = Caps(memory=settings.FFMPEG_MEMORY_GIB * GIB, threads=settings.FFMPEG_THREADS)
    return find_tools(settings.FFMPEG, settings.FFPROBE, caps)
