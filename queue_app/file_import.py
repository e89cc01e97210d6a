"""Takes a file that an operator has into the store: proven like a download, stored like an upload.

While it is stored its job is in work for this process, under a lease, so that no worker begins with the same video.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from queue_app import queue
from queue_app.failures import BadSource, Cancelled
from queue_app.fetching import media_tools
from queue_app.file_keys import Candidate
from queue_app.heartbeat import Heartbeat
from queue_app.imported_sidecars import beside
from queue_app.media.probe import probe
from queue_app.media.proof import PROOF_SECONDS, prove, sha256_file
from queue_app.media.remux import needs_remux, remux_to_mp4
from queue_app.media.structure import check_structure
from queue_app.models import VideoQueue
from queue_app.queue import Lease, Place
from queue_app.restored import restore_jobs
from queue_app.states import IN_WORK
from storage_app.backends import backend_for
from storage_app.backends.base import FileToPut, StorageError, StorageUnavailableError, StoredObject
from storage_app.confirming import Copies, Copy
from storage_app.key_rules import filter_by
from storage_app.manifest import Manifest, build, parse
from storage_app.manifest_format import CONTENT_TYPE, FileEntry, own_path
from storage_app.models import Replica, StorageAccount, VideoStore
from storage_app.naming import VideoKey
from storage_app.placement import place
from storage_app.playback.urls import stream_url
from storage_app.restoring import Found, register
from storage_app.upkeep.events import record

ACTOR = "manage.py"
REASON = "Imported from a file."
STAGE = "import"


class Busy(Exception):
    """The video, or its very content, is in work elsewhere. Importing it again later may help."""


@dataclass(frozen=True)
class Proven:
    """A file that is a whole video. `path` is an MP4; sizes in bytes."""

    path: Path
    sha256: str
    size: int
    media: dict[str, Any]
    proof: dict[str, Any]
    source: tuple[int, int]
    """Size and time of change of the file that was given, before anything was read of it."""


@dataclass(frozen=True)
class _File:
    """A file to put, where to, and what the manifest says of it."""

    source: Path
    entry: FileEntry

    def to_put(self) -> FileToPut:
        """For a backend."""
        one = self.entry
        return FileToPut(self.source, one.repo, one.path, one.sha256, one.size, one.content_type)


def known_as(key: VideoKey) -> str:
    """Why a video needn't or can't be imported: it is `archived`, or `in work`; else ""."""
    if VideoStore.objects.filter(**filter_by(key)).exists():
        return "archived"
    jobs = VideoQueue.objects.filter(**filter_by(key), status__in=IN_WORK)
    # What a killed import had in hand is free once its lease has run out.
    return "in work" if jobs.exclude(stage=STAGE, lease_expires_at__lt=Now()).exists() else ""


def import_file(candidate: Candidate, key: VideoKey) -> list[StorageAccount]:
    """Prove the file whole, store and publish it; the accounts that confirmed it.

    Raises BadSource or another Failure when it isn't a whole video, Busy, and StorageError when fewer accounts than
    the minimum took it: then nothing is left of it in the tables, and it can be imported again.
    """
    with tempfile.TemporaryDirectory(prefix="import-", dir=_scratch()) as folder:
        proven = prove_file(candidate, Path(folder))
        lease, before = _begin(key, candidate, proven)
        try:
            with Heartbeat(lease, timedelta(seconds=settings.LEASE_SECONDS), STAGE) as heartbeat:
                return _store(key, candidate, proven, lease, heartbeat, Path(folder))
        except BaseException as error:
            _end(lease, before, f"The import did not succeed: {error}"[:500])
            raise


def prove_file(candidate: Candidate, folder: Path) -> Proven:
    """The proof of a download, without what only its source could tell. What isn't an MP4 becomes one in `folder`.

    Raises BadSource and other Failures.
    """
    tools, path, source = media_tools(), candidate.path, _stamp(candidate.path)
    if candidate.expected and not _is_as_expected(path, candidate.expected):
        raise BadSource("It is not the file that the manifest beside it describes: its size or sha256 is another.")
    info, expected = probe(path, tools=tools), None
    if needs_remux(info):
        check_structure(path, info.container)
        expected = info.duration or None
        path = folder / "video.mp4"
        remux_to_mp4(candidate.path, path, container=info.container, tools=tools)
        info = probe(path, tools=tools)
    report = prove(
        path,
        info,
        expected_duration=expected,
        mode=settings.PROOF,
        tools=tools,
        timeout=max(PROOF_SECONDS, 4 * info.duration),
    )
    return Proven(path, sha256_file(path), path.stat().st_size, report.media.as_json(), report.as_json(), source)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _require_unchanged(candidate: Candidate, proven: Proven) -> None:
    """Raises BadSource when the file isn't any more what was proven: it may still be written."""
    if _stamp(candidate.path) == proven.source:
        return
    if proven.path != candidate.path or sha256_file(candidate.path) != proven.sha256:
        raise BadSource("The file changed while it was imported. Import it again once nobody writes to it.")


def _is_as_expected(path: Path, expected: FileEntry) -> bool:
    return path.stat().st_size == expected.size and sha256_file(path) == expected.sha256


def _scratch() -> Path:
    folder = Path(settings.WORK_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _me() -> str:
    return f"import-{socket.gethostname()}-{os.getpid()}"


def _begin(key: VideoKey, candidate: Candidate, proven: Proven) -> tuple[Lease, str | None]:
    artifact = {"attempt": str(uuid4()), "name": candidate.path.name, "size": proven.size, "sha256": proven.sha256}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id_, token_, before_ FROM begin_import(%s, %s, %s, %s, %s, %s, %s, make_interval(secs => %s))",
            [
                key.mal_id, key.episode, key.provider, key.resolution, f"file:{candidate.path.name}", _me(),
                json.dumps(artifact), settings.LEASE_SECONDS,
            ],
        )  # fmt: skip
        row = cursor.fetchone()
    if row is None:
        raise Busy("Its job is in work or ready by now.")
    return Lease(row[0], row[1]), row[2]


def _end(lease: Lease, before: str | None, reason: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT end_import(%s, %s, %s, %s, %s)", [lease.job_id, lease.token, _me(), before, reason])


def _store(
    key: VideoKey, candidate: Candidate, proven: Proven, lease: Lease, heartbeat: Heartbeat, folder: Path
) -> list[StorageAccount]:
    own = Place(key.repo(settings.HF_REPO_PREFIX), key.path(settings.HF_FILE_SALT))
    settled = queue.settle_content(lease, own, proven.sha256)
    if settled is None:
        raise Busy("The same content is being stored for another video; import it again once that is done.")
    sidecars = beside(candidate.path, own)
    video = _File(proven.path, FileEntry(settled.repo, settled.path, proven.sha256, proven.size, "video/mp4"))
    files = [video, *(_File(sidecar.source, sidecar.entry) for sidecar in sidecars)]
    stored = _put(key, files, heartbeat)
    _require_unchanged(candidate, proven)
    primary = min(stored, key=lambda account: account.index)
    data = build(
        key,
        repo=settled.repo,
        path=settled.path,
        content={**asdict(video.entry), "media": proven.media, "proof": proven.proof},
        title=candidate.title,
        sidecars=[sidecar.as_json() for sidecar in sidecars],
        primary=primary,
        stream_url=stream_url(key),
        direct_url=backend_for(primary).direct_url(settled.repo, settled.path) or stream_url(key),
        source={},
    )
    manifest = folder / "manifest.json"
    manifest.write_bytes(data)
    path = own_path(key, key.file_key(settings.HF_FILE_SALT))
    beside_it = _File(manifest, FileEntry(own.repo, path, sha256_file(manifest), len(data), CONTENT_TYPE))
    copies = {file.entry: [Copy(one, found[n].etag) for one, found in stored.items()] for n, file in enumerate(files)}
    copies[beside_it.entry] = _put_manifest(list(stored), beside_it)
    _publish(data, beside_it.entry, copies, lease)
    return list(stored)


def _put(key: VideoKey, files: Sequence[_File], heartbeat: Heartbeat) -> dict[StorageAccount, list[StoredObject]]:
    """All files onto as many accounts as are wanted, those that have the video first; what each made of them.

    Raises the last StorageError when fewer took them than the minimum.
    """
    trouble: StorageError | None = None
    stored: dict[StorageAccount, list[StoredObject]] = {}
    size = sum(file.entry.size for file in files)
    placement = place(key.mal_id, size, have=_holders(files[0].entry))
    for account in (*placement.open, *placement.others):
        if len(stored) == placement.wanted:
            break
        try:
            stored[account] = backend_for(account).put(
                [file.to_put() for file in files], lambda sent: heartbeat.progress(sent, size)
            )
        except StorageError as error:
            error.account, trouble = account.index, error
            _note(account, files[0].entry, error)
    if len(stored) < placement.minimum:
        raise trouble or StorageUnavailableError(
            f"Only {len(stored)} accounts can take it now, and the policy asks for {placement.minimum}: the others are "
            "paused or full."
        )
    return stored


def _holders(entry: FileEntry) -> set[int]:
    have = Replica.objects.filter(
        stored_file__repo=entry.repo, stored_file__path=entry.path, stored_file__sha256=entry.sha256
    )
    return set(have.values_list("account_id", flat=True))


def _put_manifest(accounts: Sequence[StorageAccount], manifest: _File) -> list[Copy]:
    """The copies that were confirmed; the others follow by a REPLICATE task."""
    copies = []
    for account in accounts:
        try:
            [stored] = backend_for(account).put([manifest.to_put()], lambda _sent: None)
            copies.append(Copy(account, stored.etag))
        except StorageError as error:
            _note(account, manifest.entry, error)
    return copies


def _note(account: StorageAccount, entry: FileEntry, error: StorageError) -> None:
    text = f"{entry.path} could not be stored on account {account}: {error}"
    record("put_failed", text, account=account.index, actor=ACTOR)


def _publish(data: bytes, own: FileEntry, copies: Copies, lease: Lease) -> None:
    def ready(manifests: Sequence[Manifest]) -> None:
        restore_jobs(manifests, actor=ACTOR, reason=REASON, lease_token=lease.token)

    with transaction.atomic():
        _hold(lease)
        done = register([Found(parse(data), own)], copies, ready, actor=ACTOR, written=True)
        if done.restored != 1:
            raise Busy("The video was archived or deleted by somebody else in the meantime.")


def _hold(lease: Lease) -> None:
    """Keeps the job's row until the end of the transaction. Raises Cancelled when the lease was lost."""
    job = VideoQueue.objects.select_for_update().filter(pk=lease.job_id, lease_token=lease.token)
    if not job.exists():
        raise Cancelled("The job was taken from this import; nothing was published.")
