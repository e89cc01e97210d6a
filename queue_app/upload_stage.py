"""The second stage of a job: copy the proven files to the accounts that are to hold them, then publish the video."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.db.models import Case, IntegerField, When

from archive_site.safe_http import display_url
from queue_app import queue, scratch
from queue_app.artifact import Artifact, folder_of, key_of, own_place
from queue_app.copying import Copying, FileToStore
from queue_app.heartbeat import Heartbeat
from queue_app.models import VideoQueue
from queue_app.patience import through_outages
from queue_app.queue import Lease, Place
from queue_app.send_ahead import drop_ahead
from storage_app import manifest
from storage_app.backends import backend_for
from storage_app.backends.base import StorageError, StorageUnavailableError
from storage_app.models import SidecarKind, StorageAccount, StoredFile, VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.urls import stream_url

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class _Sidecar:
    """A file beside the video, and what it is to it."""

    file: FileToStore
    kind: str
    language: str = ""
    name: str = ""

    def published(self) -> dict[str, str]:
        """For `publish_video`."""
        stored = through_outages(self.file.stored)
        return {"stored_file": str(stored.id), "kind": self.kind, "language": self.language, "name": self.name}

    def described(self) -> dict[str, Any]:
        """For the manifest."""
        place, content = self.file.place, self.file.content
        where = {"repo": place.repo, "path": place.path, "sha256": content["sha256"], "size": content["size"]}
        told = {"kind": self.kind, "language": self.language, "name": self.name}
        return {**where, "content_type": content["content_type"], **told}


@dataclass(frozen=True)
class _Primary:
    """The copy that players are led to, and where."""

    account: StorageAccount
    stream_url: str
    direct_url: str


def store_and_publish(job: VideoQueue, lease: Lease, heartbeat: Heartbeat) -> None:
    """Ends with the job ready, or with the lease given back because another job is storing the very same content.

    Raises ArtifactLost, StorageError and Cancelled.
    """
    artifact, folder = Artifact.of(job), folder_of(job)
    key = key_of(job)
    own = own_place(key)
    place = through_outages(lambda: queue.settle_content(lease, own, artifact.sha256))
    if place is None:
        log.info("%s: the same content is being stored by another job; this one waits for it.", job)
        return
    if place != own:
        drop_ahead(own)  # the content lies elsewhere
    video = FileToStore(folder / artifact.name, place, asdict(artifact))
    sidecars = _sidecars_of(artifact, folder, own)
    copying = Copying(lease, heartbeat, job.mal_id)
    placement = copying.bring([video, *(sidecar.file for sidecar in sidecars)])
    stored = through_outages(video.stored)
    primary = _primary_of(stored, key)
    written = _write_manifest(job, key, own, video, artifact.title, sidecars, primary, folder)
    copying.add(written, _holders(stored), placement.wanted)
    copying.leave_the_rest([video, *(sidecar.file for sidecar in sidecars), written], placement)
    all_sidecars = [*sidecars, _Sidecar(written, SidecarKind.MANIFEST)]
    _publish(job, lease, key, stored, primary, artifact.title, all_sidecars)
    scratch.discard(folder)


def _sidecars_of(artifact: Artifact, folder: Path, own: Place) -> list[_Sidecar]:
    found = []
    for sidecar in artifact.sidecars:
        place = _beside(own, sidecar.suffix)
        content = {"sha256": sidecar.sha256, "size": sidecar.size, "content_type": sidecar.content_type}
        file = FileToStore(folder / sidecar.file, place, content)
        found.append(_Sidecar(file, sidecar.kind, sidecar.language, sidecar.name))
    return found


def _beside(own: Place, suffix: str) -> Place:
    """The video's own place with another suffix."""
    return Place(own.repo, f"{PurePosixPath(own.path).with_suffix('')}{suffix}")


def _holders(stored: StoredFile) -> list[StorageAccount]:
    """The accounts in use that have a confirmed copy, by their number."""
    return through_outages(lambda: list(StorageAccount.objects.filter(replicas__stored_file=stored, enabled=True)))


def _primary_of(stored: StoredFile, key: VideoKey) -> _Primary:
    """The copy that the video (or another of the same content) is led to already, while it is there; else the first.

    The first by the accounts' numbers, not by the clock: among uploads that run at once that would be luck. Raises
    StorageUnavailableError when the last copy has just gone.
    """
    accounts = {account.index: account for account in _holders(stored)}
    if not accounts:
        raise StorageUnavailableError("The copies that were there have just been removed; the upload begins again.")
    mine = Case(
        When(mal_id=key.mal_id, episode=key.episode, provider=key.provider, resolution=key.resolution, then=0),
        default=1,
        output_field=IntegerField(),
    )
    standing = VideoStore.objects.filter(stored_file=stored, hf_account__in=accounts)
    first = through_outages(standing.order_by(mine, "created_at").first)
    account = accounts[first.hf_account if first else min(accounts)]
    url = stream_url(key)
    return _Primary(account, url, _direct_url(account, stored) or url)


def _direct_url(account: StorageAccount, stored: StoredFile) -> str | None:
    try:
        return through_outages(lambda: backend_for(account)).direct_url(stored.repo, stored.path)
    except StorageError as error:
        log.warning("No direct URL of %s is known: %s", stored, error)
        return None


def _write_manifest(
    job: VideoQueue,
    key: VideoKey,
    own: Place,
    video: FileToStore,
    title: str,
    sidecars: Sequence[_Sidecar],
    primary: _Primary,
    folder: Path,
) -> FileToStore:
    """The manifest as a file of the job's folder. It lies at the video's own path, wherever its media do."""
    known = ("sha256", "size", "media", "proof")
    text = manifest.build(
        key,
        repo=video.place.repo,
        path=video.place.path,
        content={**{name: video.content[name] for name in known}, "content_type": "video/mp4"},
        title=title,
        sidecars=[sidecar.described() for sidecar in sidecars],
        primary=primary.account,
        stream_url=primary.stream_url,
        direct_url=primary.direct_url,
        source={"video_url": display_url(job.video_url), "page_url": job.page_url and display_url(job.page_url)},
        archived_at=job.updated_at,  # it became an upload then: the same bytes at each try
    )
    path = folder / MANIFEST
    path.write_bytes(text)
    content = {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text), "content_type": "application/json"}
    return FileToStore(path, _beside(own, ".json"), content)


def _publish(
    job: VideoQueue,
    lease: Lease,
    key: VideoKey,
    stored: StoredFile,
    primary: _Primary,
    title: str,
    sidecars: Sequence[_Sidecar],
) -> None:
    rows = [sidecar.published() for sidecar in sidecars]
    published = through_outages(
        lambda: queue.publish_video(
            lease,
            stored.id,
            file_key=key.file_key(settings.HF_FILE_SALT),
            account=primary.account.index,
            repo=f"{primary.account.username}/{stored.repo}",
            direct_url=primary.direct_url,
            stream_url=primary.stream_url,
            title=title,
            sidecars=rows,
        )
    )
    if published:
        log.info("%s: ready.", job)
