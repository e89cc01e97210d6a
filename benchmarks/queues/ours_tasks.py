"""The download lane's real task (its lease, heartbeat and fenced end), only that there is nothing to download."""

from __future__ import annotations

from unittest.mock import patch

from benchmarks.queues.started import tell_started
from queue_app import download_stage, pipeline
from queue_app.artifact import Artifact
from queue_app.broker import VideoQueueBroker
from queue_app.heartbeat import Heartbeat
from queue_app.models import VideoQueue
from queue_app.queue import Lease


class NothingBroker(VideoQueueBroker):
    """The real broker. The cluster forks its workers from the process that imports this module."""


def _download_nothing(job: VideoQueue, lease: Lease, heartbeat: Heartbeat) -> None:
    tell_started()
    heartbeat.check()
    artifact = Artifact(str(lease.token), "video.mp4", size=1, sha256="0" * 64, media={"duration": 1.0})
    download_stage._hand_over(job, lease, artifact)


patch.object(pipeline, "fetch_and_prove", _download_nothing).start()
