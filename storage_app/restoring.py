"""Puts videos into the tables by their manifests: for whoever rebuilds, imports a list, or takes a folder in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.timezone import now

from storage_app.backends import backend_for
from storage_app.backends.base import StorageError
from storage_app.confirming import Copies, Copy
from storage_app.manifest import Manifest, entry_of, key_of
from storage_app.manifest_format import FileEntry
from storage_app.models import (
    Replica,
    Sidecar,
    SidecarKind,
    StorageAccount,
    StoredFile,
    TaskKind,
    Tombstone,
    VideoStore,
)
from storage_app.naming import VideoKey
from storage_app.shortfall import ask_for_copies
from storage_app.upkeep.tasks import ask_for

Jobs = Callable[[Sequence[Manifest]], None]
"""Makes the jobs of these videos ready, in the transaction that restores them; the store itself knows no jobs."""


@dataclass(frozen=True)
class Found:
    """A manifest that is to be restored. `own` is its own file; None where it lies on no account yet."""

    manifest: Manifest
    own: FileEntry | None

    def files(self) -> list[FileEntry]:
        """All that belongs to the video, the video first."""
        own = [self.own] if self.own else []
        return [self.manifest.file, *(sidecar.file for sidecar in self.manifest.sidecars), *own]


@dataclass
class Registered:
    """What became of videos, by number; `faults` are sentences for operators."""

    restored: int = 0
    known: int = 0
    other_content: int = 0
    deleted: int = 0
    without_copy: int = 0
    sidecars_without_copy: int = 0
    copies: int = 0
    under_replicated: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Registered) -> None:
        """All numbers of the other one."""
        for part in fields(Registered):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))


@dataclass
class _Batch:
    """What one transaction works at."""

    copies: Copies
    actor: str
    done: Registered = field(default_factory=Registered)
    files: dict[FileEntry, StoredFile] = field(default_factory=dict)


def register(
    found: Sequence[Found], copies: Copies, jobs: Jobs, *, actor: str = "system", written: bool = False
) -> Registered:
    """One transaction: the rows of these videos as far as they are missing, REPLICATE tasks for what has too few
    copies, and MANIFEST tasks for videos whose own manifest isn't known. Nothing that is there is changed.

    A video that has another content by now keeps it; one that was deleted after it was archived stays deleted; one
    whose file was confirmed nowhere is not restored. `written` says that the copies were put there just now, so that
    whatever else was known at their places is gone.
    """
    batch = _Batch(copies, actor)
    with transaction.atomic():
        kept = _newest(_without_deleted(found, batch), batch)
        existing = _existing(kept)
        wanted = [one for one in kept if _may_have(one, existing.get(one.manifest.key), batch)]
        wanted = _with_own(wanted, existing)
        _add_files(wanted, batch)
        _add_replicas(batch, written=written)
        new = [one.manifest for one in wanted if one.manifest.key not in existing]
        VideoStore.objects.bulk_create([_row(manifest, batch) for manifest in new], ignore_conflicts=True)
        videos = _existing(wanted)
        _add_file_and_sidecars(videos, wanted, batch)
        _ask_for_manifests(videos, wanted, batch)
        jobs([one.manifest for one in wanted])
        batch.done.restored += len(new)
        batch.done.known += len(wanted) - len(new)
        batch.done.under_replicated += ask_for_copies(batch.files.values(), actor)
    return batch.done


def _without_deleted(found: Sequence[Found], batch: _Batch) -> list[Found]:
    of_works = Tombstone.objects.filter(
        mal_id__in={one.manifest.key.mal_id for one in found}, episode__in={one.manifest.key.episode for one in found}
    ).values("mal_id", "episode", "provider", "resolution")
    deleted: dict[VideoKey, datetime] = {
        VideoKey(row["mal_id"], row["episode"], row["provider"], row["resolution"]): row["last"]
        for row in of_works.annotate(last=Max("deleted_at"))
    }
    kept = [
        one for one in found if one.manifest.key not in deleted or deleted[one.manifest.key] < one.manifest.archived_at
    ]
    batch.done.deleted += len(found) - len(kept)
    return kept


def _newest(found: Sequence[Found], batch: _Batch) -> list[Found]:
    """One for each video: a key that has had several names on the accounts has several manifests."""
    by_key: dict[VideoKey, Found] = {}
    for one in sorted(found, key=lambda one: one.manifest.age):
        by_key[one.manifest.key] = one
    batch.done.other_content += len(found) - len(by_key)
    return list(by_key.values())


def _existing(found: Sequence[Found]) -> dict[VideoKey, VideoStore]:
    keys = {one.manifest.key for one in found}
    rows: QuerySet[VideoStore] = (
        VideoStore.objects.filter(mal_id__in={key.mal_id for key in keys}, episode__in={key.episode for key in keys})
        .select_related("stored_file")
        .select_for_update(of=("self",))
    )
    return {key: row for row in rows if (key := key_of(row)) in keys}


def _may_have(one: Found, row: VideoStore | None, batch: _Batch) -> bool:
    manifest = one.manifest
    if row is not None and not _is_of(row, manifest):
        batch.done.other_content += 1
        return False
    if row is not None and row.stored_file is not None:
        return True
    if not batch.copies.get(manifest.file):
        batch.done.without_copy += 1
        batch.done.faults.append(f"{manifest.name}: no account has its file {manifest.file.path} as it should be.")
        return False
    for sidecar in manifest.sidecars:
        if not batch.copies.get(sidecar.file):
            batch.done.sidecars_without_copy += 1
            batch.done.faults.append(f"{manifest.name}: no account has {sidecar.file.path} as it should be.")
    return True


def _is_of(row: VideoStore, manifest: Manifest) -> bool:
    if row.stored_file is None:  # an older client told only the place
        return row.hf_path == manifest.file.path
    return entry_of(row.stored_file) == manifest.file


def _with_own(wanted: Sequence[Found], existing: Mapping[VideoKey, VideoStore]) -> list[Found]:
    """Without the manifest of a video that has another one by now, which is no file of the video then."""
    sidecars = Sidecar.objects.filter(video__in=existing.values(), kind=SidecarKind.MANIFEST)
    known = {sidecar.video_id: entry_of(sidecar.stored_file) for sidecar in sidecars.select_related("stored_file")}
    current = {key: known[video.pk] for key, video in existing.items() if video.pk in known}
    return [replace(one, own=None) if current.get(one.manifest.key, one.own) != one.own else one for one in wanted]


def _add_files(wanted: Sequence[Found], batch: _Batch) -> None:
    facts: dict[FileEntry, dict[str, Any]] = {}
    for one in wanted:
        for entry in one.files():
            if batch.copies.get(entry):
                facts.setdefault(entry, {"duration": 0})
        manifest = one.manifest
        # Of several videos with one content, that under whose name it lies knows how it was proven; else the first.
        if manifest.file in facts and ("media" not in facts[manifest.file] or manifest.lies_with_file):
            facts[manifest.file] = {
                "duration": manifest.duration, "media": manifest.media, "proof": manifest.proof,
            }  # fmt: skip
    rows = [
        StoredFile(
            repo=entry.repo, path=entry.path, sha256=entry.sha256, size=entry.size, content_type=entry.content_type,
            **told,
        )
        for entry, told in facts.items()
    ]  # fmt: skip
    StoredFile.objects.bulk_create(rows, ignore_conflicts=True)
    places = {(entry.repo, entry.path, entry.sha256): entry for entry in facts}
    for file in StoredFile.objects.filter(**_places(facts)):
        if known := places.get((file.repo, file.path, file.sha256)):
            batch.files[known] = file


def _places(entries: Iterable[FileEntry]) -> dict[str, set[str]]:
    """A filter that the index of places serves; what lies at another repository's same path may come along."""
    entries = list(entries)
    return {"repo__in": {entry.repo for entry in entries}, "path__in": {entry.path for entry in entries}}


def _add_replicas(batch: _Batch, *, written: bool) -> None:
    at_places = {f"stored_file__{name}": value for name, value in _places(batch.files).items()}
    others = Replica.objects.filter(**at_places).exclude(stored_file__in=list(batch.files.values()))
    if written:
        for entry, file in batch.files.items():
            same_place = Replica.objects.filter(stored_file__repo=entry.repo, stored_file__path=entry.path)
            accounts = [copy.account for copy in batch.copies[entry]]
            same_place.filter(account__in=accounts).exclude(stored_file=file).delete()
    taken = set(others.values_list("account_id", "stored_file__repo", "stored_file__path"))
    had = set(Replica.objects.filter(stored_file__in=batch.files.values()).values_list("stored_file_id", "account_id"))
    moment = now()
    rows = [
        Replica(
            stored_file=file, account=copy.account, etag=copy.etag, verified_at=moment,
            scrubbed_at=moment if copy.read else None,
        )
        for entry, file in batch.files.items()
        for copy in batch.copies[entry]
        if (file.pk, copy.account.index) not in had and (copy.account.index, entry.repo, entry.path) not in taken
    ]  # fmt: skip
    Replica.objects.bulk_create(rows, ignore_conflicts=True)
    batch.done.copies += len(rows)


def _row(manifest: Manifest, batch: _Batch) -> VideoStore:
    key, file = manifest.key, batch.files[manifest.file]
    account, repo, url = _primary(manifest, batch.copies[manifest.file])
    return VideoStore(
        mal_id=key.mal_id, episode=key.episode, provider=key.provider, resolution=key.resolution,
        file_key=manifest.file_key, title=manifest.title, created_at=manifest.archived_at, stored_file=file,
        hf_account=account, hf_repo=repo, hf_path=manifest.file.path, hf_direct_url=url,
        stream_url=manifest.stream_url,
    )  # fmt: skip


def _primary(manifest: Manifest, copies: Sequence[Copy]) -> tuple[int, str, str]:
    """The account, repository and direct URL of the row: as they were, if that copy is still there."""
    said = manifest.primary
    for copy in copies:
        if is_account(copy.account, manifest) and said.path == manifest.file.path:
            return said.account, said.repo, said.direct_url
    account = min(copies, key=lambda copy: (not copy.account.enabled, copy.account.index)).account
    try:
        direct = backend_for(account).direct_url(manifest.file.repo, manifest.file.path)
    except StorageError:  # its secret can't be had here; players are led to the stream URL
        direct = None
    return account.index, f"{account.username}/{manifest.file.repo}", direct or manifest.stream_url


def is_account(account: StorageAccount, manifest: Manifest) -> bool:
    """Is this the account that the manifest names as its primary?"""
    said = manifest.primary
    return (account.index, account.kind, account.username) == (said.account, said.kind, said.username)


def _add_file_and_sidecars(videos: Mapping[VideoKey, VideoStore], wanted: Sequence[Found], batch: _Batch) -> None:
    rows = []
    for one in wanted:
        manifest, video = one.manifest, videos[one.manifest.key]
        if video.stored_file is None:
            VideoStore.objects.filter(pk=video.pk).update(stored_file=batch.files[manifest.file], title=manifest.title)
        rows += [
            Sidecar(
                video=video, stored_file=batch.files[sidecar.file], kind=sidecar.kind, language=sidecar.language,
                name=sidecar.name,
            )
            for sidecar in manifest.sidecars
            if sidecar.file in batch.files
        ]  # fmt: skip
        if one.own and one.own in batch.files:
            rows.append(Sidecar(video=video, stored_file=batch.files[one.own], kind=SidecarKind.MANIFEST))
    Sidecar.objects.bulk_create(rows, ignore_conflicts=True)


def _ask_for_manifests(videos: Mapping[VideoKey, VideoStore], wanted: Sequence[Found], batch: _Batch) -> None:
    """For those whose own manifest is no file of theirs yet: where it lies already it is unknown, and an orphan."""
    known = set(
        Sidecar.objects.filter(video__in=videos.values(), kind=SidecarKind.MANIFEST).values_list("video_id", flat=True)
    )
    for one in wanted:
        video = videos[one.manifest.key]
        if video.pk not in known:
            file = video.stored_file or batch.files[one.manifest.file]
            reason = "Restored without the manifest that belongs beside it."
            ask_for(TaskKind.MANIFEST, stored_file=file, reason=reason, actor=batch.actor)
