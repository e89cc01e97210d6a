"""A job's video and status by the job's id, for those who look for its file."""

from __future__ import annotations

from uuid import UUID

from queue_app.models import VideoQueue
from storage_app.api.download import QueuedVideo
from storage_app.naming import VideoKey


def queued_video(job_id: UUID) -> QueuedVideo | None:
    """The job with this id; None when there is none."""
    job = VideoQueue.objects.filter(pk=job_id).first()
    if job is None:
        return None
    return QueuedVideo(VideoKey(job.mal_id, job.episode, job.provider, job.resolution), job.status)
