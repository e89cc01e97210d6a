"""The second stage of a job: copy the proven file to every account that lacks it, then publish it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from django.conf import settings

from queue_app import queue, scratch
from queue_app.artifact import Artifact, ArtifactLost, SidecarFile, folder_of
from queue_app.failures import Cancelled
from queue_app.heartbeat import Heartbeat
from queue_app.models import VideoQueue
from queue_app.patience import through_outages
from queue_app.queue import Lease, Place
from storage_app.backends import backend_for
from storage_app.backends.base import StorageUnavailableError
from storage_app.models import Replica
from storage_app.naming import VideoKey
from storage_app.playback.urls import stream_url
from storage_app.upload import missing_accounts, upload

log = logging.getLogger(__name__)


def store_and_publish(job: VideoQueue, lease: Lease, heartbeat: Heartbeat) -> None:
    """Ends with the job ready, or with the lease given back because another job is storing the very same content.

    Raises ArtifactLost, StorageError and Cancelled.
    """
    artifact, folder = Artifact.of(job), folder_of(job)
    key = VideoKey(job.mal_id, job.episode, job.provider, job.resolution)
    own = Place(key.repo(settings.HF_REPO_PREFIX), key.path(settings.HF_FILE_SALT))
    place = through_outages(lambda: queue.settle_content(lease, own, artifact.sha256))
    if place is None:
        log.info("%s: the same content is being stored by another job; this one waits for it.", job)
        return
    stored_file = _store(lease, heartbeat, folder / artifact.name, place, asdict(artifact))
    sidecars = [_store_sidecar(lease, heartbeat, folder, own, sidecar) for sidecar in artifact.sidecars]
    _publish(job, lease, key, place, stored_file, artifact.title, sidecars)
    scratch.discard(folder)


def _store(lease: Lease, heartbeat: Heartbeat, source: Path, place: Place, content: Mapping[str, Any]) -> UUID:
    """Copy one file to the accounts that lack it and write that down; the stored file's id."""
    if not source.is_file():
        raise ArtifactLost("The downloaded file is gone from this host's disk; it will be downloaded again.")
    sha256 = content["sha256"]
    accounts = through_outages(lambda: missing_accounts(place.repo, place.path, sha256))
    for account in upload(accounts, source, place.repo, place.path, sha256, heartbeat.progress):
        record = functools.partial(queue.record_replica, lease, account.index, place, content)
        if through_outages(record) is None:
            raise Cancelled("The job was taken from this worker during its upload.")
    return _primary(place, sha256).stored_file_id


def _store_sidecar(
    lease: Lease, heartbeat: Heartbeat, folder: Path, own: Place, sidecar: SidecarFile
) -> dict[str, str]:
    place = Place(own.repo, f"{PurePosixPath(own.path).with_suffix('')}{sidecar.suffix}")
    stored_file = _store(lease, heartbeat, folder / sidecar.file, place, asdict(sidecar))
    return {
        "stored_file": str(stored_file),
        "kind": sidecar.kind,
        "language": sidecar.language,
        "name": sidecar.name,
    }


def _primary(place: Place, sha256: str) -> Replica:
    """The copy that players are led to. Raises StorageUnavailableError when the last one has just gone."""
    found = Replica.objects.filter(
        stored_file__repo=place.repo, stored_file__path=place.path, stored_file__sha256=sha256
    ).select_related("account")
    replica = through_outages(lambda: found.order_by("-account__enabled", "account__index").first())
    if replica is None:
        raise StorageUnavailableError("The copies that were there have just been removed; the upload begins again.")
    return replica


def _publish(
    job: VideoQueue,
    lease: Lease,
    key: VideoKey,
    place: Place,
    stored_file: UUID,
    title: str,
    sidecars: list[dict[str, str]],
) -> None:
    account = _primary(place, Artifact.of(job).sha256).account
    url = stream_url(key)
    published = through_outages(
        lambda: queue.publish_video(
            lease,
            stored_file,
            file_key=key.file_key(settings.HF_FILE_SALT),
            account=account.index,
            repo=f"{account.username}/{place.repo}",
            direct_url=backend_for(account).direct_url(place.repo, place.path) or url,
            stream_url=url,
            title=title,
            sidecars=sidecars,
        )
    )
    if published:
        log.info("%s: ready.", job)
