"""The manifests of stored videos: made from the tables, and kept beside the videos on their accounts."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction

from storage_app.backends import backend_for
from storage_app.backends.base import FileToPut, StorageError, StoredObject
from storage_app.manifest_format import (
    CONTENT_TYPE,
    MAX_BYTES,
    FileEntry,
    Manifest,
    Primary,
    SidecarEntry,
    build,
    display_source,
    own_path,
    unsigned,
)
from storage_app.manifest_reading import ManifestRefused, parse
from storage_app.models import (
    Replica,
    Sidecar,
    SidecarKind,
    StorageAccount,
    StoredFile,
    TaskKind,
    VideoStore,
)
from storage_app.naming import VideoKey
from storage_app.upkeep.tasks import ask_for

__all__ = ["Manifest", "ManifestRefused", "build", "entry_of", "key_of", "of_video", "parse", "refresh", "unused"]

log = logging.getLogger(__name__)

_ROUNDS = 3


def key_of(video: VideoStore) -> VideoKey:
    """Its natural key."""
    return VideoKey(video.mal_id, video.episode, video.provider, video.resolution)


def entry_of(file: StoredFile) -> FileEntry:
    """As a manifest names it."""
    return FileEntry(file.repo, file.path, file.sha256, file.size, file.content_type)


def of_video(
    video: VideoStore,
    *,
    source: Mapping[str, str] | None = None,
    revision: int = 1,
    accounts: Mapping[int, StorageAccount] | None = None,
) -> Manifest:
    """What the tables say of a video, which must have a stored file. `source` is shown in display form. Who asks for
    many gives the accounts by their numbers."""
    file = video.stored_file
    if file is None:
        raise ValueError(f"{video} has no stored file.")
    if accounts is None:
        accounts = StorageAccount.objects.in_bulk([video.hf_account])
    account = accounts.get(video.hf_account)
    return Manifest(
        key=key_of(video),
        file_key=video.file_key,
        title=video.title,
        archived_at=video.created_at,
        primary=Primary(
            account=video.hf_account,
            kind=account.kind if account else "",
            username=account.username if account else "",
            repo=video.hf_repo,
            path=video.hf_path,
            direct_url=unsigned(video.hf_direct_url),
        ),
        stream_url=unsigned(video.stream_url),
        file=entry_of(file),
        duration=file.duration,
        media=file.media,
        proof=file.proof,
        sidecars=tuple(
            SidecarEntry(entry_of(sidecar.stored_file), sidecar.kind, sidecar.language, sidecar.name)
            for sidecar in sorted(video.sidecars.all(), key=lambda sidecar: sidecar.pk)
            if sidecar.kind != SidecarKind.MANIFEST
        ),
        source=display_source(source or {}),
        revision=revision,
    )


def refresh(video: VideoStore, *, actor: str = "system", source: Mapping[str, str] | None = None) -> StoredFile | None:
    """Have the video's manifest say what the tables say, on every account that has the video; its stored file.

    Harmless to repeat: a manifest that is true already is only put where it is missing. An account that fails gets it
    by a REPLICATE task. Without `source` the one of the manifest before is kept. None when the video is gone, or was
    stored by an older client that told no content. Raises StorageError when no account took it, and ValueError when it
    would be too large. While one writes a video's manifest, others that would wait.
    """
    with _alone(video):
        return _refresh(video, actor, source)


@contextmanager
def _alone(video: VideoStore) -> Iterator[None]:
    """By a lock of this database session, for the network is no place to hold a transaction open."""
    lock = ["manifest", str(video.pk)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s), hashtext(%s))", lock)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), hashtext(%s))", lock)


def _refresh(video: VideoStore, actor: str, source: Mapping[str, str] | None) -> StoredFile | None:
    for _round in range(_ROUNDS):
        current = _find(video)
        if current is None:
            return None
        manifest, data = _due(current, source)
        file = _keep(current, manifest, data, actor)
        settled = _find(video)
        if settled is None or of_video(settled, source=manifest.source).says_the_same(manifest):
            return file
    log.warning("%s changes faster than its manifest can be written; it is one change behind.", video)
    return file


def _find(video: VideoStore) -> VideoStore | None:
    found = VideoStore.objects.filter(pk=video.pk, stored_file__isnull=False).select_related("stored_file")
    return found.prefetch_related("sidecars__stored_file").first()


def _current(video: VideoStore) -> StoredFile | None:
    sidecar = Sidecar.objects.filter(video=video, kind=SidecarKind.MANIFEST).select_related("stored_file").first()
    return sidecar.stored_file if sidecar else None


def _due(video: VideoStore, source: Mapping[str, str] | None) -> tuple[Manifest, bytes]:
    """The manifest that should lie there: the one that does, if it is true."""
    file = _current(video)
    before = _read(file) if file else None
    if before is None:
        manifest = _after(_unknown(video), video, source)
        return manifest, manifest.as_bytes()
    old, data = before
    manifest = of_video(video, source=source or old.source, revision=old.revision + 1)
    return (old, data) if old.says_the_same(manifest) else (manifest, manifest.as_bytes())


def _after(found: Manifest | None, video: VideoStore, source: Mapping[str, str] | None) -> Manifest:
    """The manifest that takes the place of one that no table knows."""
    if found is None:
        return of_video(video, source=source)
    return of_video(video, source=source or found.source, revision=found.revision + 1)


def _unknown(video: VideoStore) -> Manifest | None:
    """The newest manifest of this very content that lies at its place, though no table knows it."""
    (repo, path), file = _place(video), video.stored_file
    found: list[Manifest] = []
    if file is None:
        return None
    for replica in file.replicas.select_related("account"):
        try:
            manifest = parse(b"".join(backend_for(replica.account).open(repo, path, 0, MAX_BYTES + 1)))
        except (StorageError, ManifestRefused) as error:
            log.debug("%s on account %s: %s", path, replica.account, error)
            continue
        if (manifest.key, manifest.file) == (key_of(video), entry_of(file)):
            found.append(manifest)
    return max(found, key=lambda manifest: manifest.age, default=None)


def _read(file: StoredFile) -> tuple[Manifest, bytes] | None:
    """From the first account that gives it back as it was stored."""
    for replica in file.replicas.select_related("account").order_by("-account__enabled", "account_id"):
        try:
            data = b"".join(backend_for(replica.account).open(file.repo, file.path, 0, MAX_BYTES))
            if hashlib.sha256(data).hexdigest() == file.sha256:
                return parse(data), data
        except (StorageError, ManifestRefused) as error:
            log.warning("%s can't be read on account %s: %s", file, replica.account, error)
    return None


def _keep(video: VideoStore, manifest: Manifest, data: bytes, actor: str) -> StoredFile | None:
    entry = FileEntry(*_place(video), hashlib.sha256(data).hexdigest(), len(data), CONTENT_TYPE)
    holders = list(
        StorageAccount.objects.filter(replicas__stored_file=video.stored_file, retired_at=None).order_by("index")
    )
    stored, failed = _put(_without(holders, entry), entry, data)
    if failed and not stored and len(failed) == len(holders):
        raise next(iter(failed.values()))
    with transaction.atomic():
        if not VideoStore.objects.select_for_update().filter(pk=video.pk).exists():
            _take_away(stored, entry, actor)
            return None
        file = _write_down(video, entry, stored)
        for account, error in failed.items():
            reason = f"Its manifest could not be written on account {account}: {error}"
            log.warning("%s: %s", video, reason)
            ask_for(TaskKind.REPLICATE, stored_file=file, reason=reason, actor=actor)
    return file


def _place(video: VideoStore) -> tuple[str, str]:
    """Where its manifest lies already, else its own name."""
    if current := _current(video):
        return current.repo, current.path
    key = key_of(video)
    return key.repo(settings.HF_REPO_PREFIX), own_path(key, video.file_key)


def _without(accounts: Sequence[StorageAccount], entry: FileEntry) -> list[StorageAccount]:
    """Those that have no confirmed copy of it."""
    have = Replica.objects.filter(
        stored_file__repo=entry.repo, stored_file__path=entry.path, stored_file__sha256=entry.sha256
    )
    known = set(have.values_list("account_id", flat=True))
    return [account for account in accounts if account.index not in known]


def _put(
    accounts: Sequence[StorageAccount], entry: FileEntry, data: bytes
) -> tuple[dict[StorageAccount, StoredObject], dict[StorageAccount, StorageError]]:
    stored: dict[StorageAccount, StoredObject] = {}
    failed: dict[StorageAccount, StorageError] = {}
    with tempfile.TemporaryDirectory(prefix="reelkeep-manifest-") as folder:
        source = Path(folder) / "manifest.json"
        source.write_bytes(data)
        file = FileToPut(source, entry.repo, entry.path, entry.sha256, entry.size, entry.content_type)
        for account in accounts:
            try:
                [stored[account]] = backend_for(account).put([file], lambda _sent: None)
            except StorageError as error:
                error.account = account.index
                failed[account] = error
    return stored, failed


def _write_down(video: VideoStore, entry: FileEntry, stored: Mapping[StorageAccount, StoredObject]) -> StoredFile:
    file, _new = StoredFile.objects.get_or_create(
        repo=entry.repo,
        path=entry.path,
        sha256=entry.sha256,
        defaults={"size": entry.size, "duration": 0, "content_type": entry.content_type},
    )
    for account, found in stored.items():
        Replica.objects.update_or_create(stored_file=file, account=account, defaults={"etag": found.etag})
    Replica.objects.filter(
        stored_file__repo=entry.repo, stored_file__path=entry.path, account__in=list(stored)
    ).exclude(stored_file=file).delete()
    before = Sidecar.objects.filter(video=video, kind=SidecarKind.MANIFEST).exclude(stored_file=file)
    former = list(before.values_list("stored_file_id", flat=True))
    before.delete()
    Sidecar.objects.get_or_create(video=video, stored_file=file, defaults={"kind": SidecarKind.MANIFEST})
    unused(former).delete()
    return file


def unused(ids: Sequence[UUID]) -> models.QuerySet[StoredFile]:
    """Those of these files that no video and no sidecar uses."""
    return StoredFile.objects.filter(pk__in=ids, videos=None, sidecars=None)


def _take_away(stored: Mapping[StorageAccount, StoredObject], entry: FileEntry, actor: str) -> None:
    for account in stored:
        reason = "The video was deleted while its manifest was written."
        ask_for(TaskKind.REMOVE, account=account, repo=entry.repo, path=entry.path, reason=reason, actor=actor)
