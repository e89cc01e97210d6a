"""What the store's pages ask of the queue: a job's video and status by the job's id, a work's title by its number."""

from __future__ import annotations

from uuid import UUID

from queue_app.models import VideoQueue
from queue_app.models.source import Work
from storage_app.api.download import QueuedVideo
from storage_app.naming import VideoKey


def queued_video(job_id: UUID) -> QueuedVideo | None:
    """The job with this id; None when there is none."""
    job = VideoQueue.objects.filter(pk=job_id).first()
    if job is None:
        return None
    return QueuedVideo(VideoKey(job.mal_id, job.episode, job.provider, job.resolution), job.status)


def work_title(mal_id: int) -> str | None:
    """The title under which its sources are registered; None when they are not."""
    return Work.objects.filter(pk=mal_id).values_list("title", flat=True).first()
