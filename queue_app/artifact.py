"""What the download lane leaves for the upload lane: a proven video and what belongs to it, in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from django.conf import settings

from queue_app import scratch
from queue_app.failures import Internal
from queue_app.models import VideoQueue
from queue_app.queue import Lease, Place
from storage_app.naming import VideoKey


class ArtifactLost(Internal):
    """The downloaded file is no longer on this host's disk."""


@dataclass(frozen=True)
class SidecarFile:
    """A file that goes with the video. `suffix` is added to the video's path, without its own, in the store."""

    file: str
    kind: str
    suffix: str
    content_type: str
    size: int
    sha256: str
    language: str = ""
    name: str = ""


@dataclass(frozen=True)
class Artifact:
    """Kept as JSON in `video_queue.artifact`. Sizes in bytes, sha256 in hex."""

    attempt: str
    """The lease token of the attempt that downloaded it, which names its folder."""
    name: str
    size: int
    sha256: str
    media: Mapping[str, Any]
    proof: Mapping[str, Any] | None = None
    title: str = ""
    sidecars: tuple[SidecarFile, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For the column."""
        return {**asdict(self), "sidecars": [asdict(sidecar) for sidecar in self.sidecars]}

    @classmethod
    def of(cls, job: VideoQueue) -> Self:
        """What lies ready for this job. Raises ArtifactLost when there is nothing."""
        if not job.artifact:
            raise ArtifactLost("The job has no downloaded file; it will be downloaded again.")
        known = {name: job.artifact[name] for name in cls.__dataclass_fields__ if name in job.artifact}
        sidecars = tuple(SidecarFile(**sidecar) for sidecar in known.pop("sidecars", ()))
        return cls(**known, sidecars=sidecars)


def folder_of(job: VideoQueue) -> Path:
    """The folder of the attempt that downloaded the job's artifact. Raises ArtifactLost."""
    return scratch.folder(settings.WORKER_ID, Lease(job.id, UUID(Artifact.of(job).attempt)))


def key_of(job: VideoQueue) -> VideoKey:
    """The natural key of the job's video."""
    return VideoKey(job.mal_id, job.episode, job.provider, job.resolution)


def own_place(key: VideoKey) -> Place:
    """Where a video's file lies, unless the same content lies elsewhere already."""
    return Place(key.repo(settings.HF_REPO_PREFIX), key.path(settings.HF_FILE_SALT))
