"""Admin pages of the queue."""

from __future__ import annotations

from queue_app.admin import chores, media_job, source_host, video_queue, work, worker

__all__ = ["chores", "media_job", "source_host", "video_queue", "work", "worker"]
