"""Tables of the queue. The rules that must hold under concurrency live in SQL: see `queue_app/migrations/sql`."""

from queue_app.models.event import JobEvent
from queue_app.models.media_job import MediaJob
from queue_app.models.remembered_answer import RememberedAnswer
from queue_app.models.source import ResolvedSource, Work, WorkSource
from queue_app.models.source_host import SourceHost
from queue_app.models.total import QueueTotal
from queue_app.models.video_queue import VideoQueue
from queue_app.models.worker import Worker

__all__ = [
    "JobEvent",
    "MediaJob",
    "QueueTotal",
    "RememberedAnswer",
    "ResolvedSource",
    "SourceHost",
    "VideoQueue",
    "Work",
    "WorkSource",
    "Worker",
]
