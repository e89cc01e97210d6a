"""Datasets of a Hugging Face account as a storage account (https://huggingface.co/docs/hub/storage-limits).

One repository a work, `USERNAME/PREFIX-WORK`, one commit for the files of a `put`. Large files and everything that the
Hub's rules say go by Xet, or by LFS where there is no Xet; small texts become ordinary git files.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from storage_app.backends import hf_chunks, hf_signed
from storage_app.backends.base import (
    Backend,
    Capacity,
    FileToPut,
    GrowingFile,
    ListedObject,
    ObjectMissingError,
    Progress,
    SignedUrl,
    StorageError,
    StoredObject,
)
from storage_app.backends.hf_client import DATASET, HubClient, HubPlace, checked
from storage_app.backends.hf_errors import CopyRefusedError, translated
from storage_app.backends.hf_meter import Meter
from storage_app.backends.hf_reading import Reading
from storage_app.backends.hf_upload import CARD, RepoUpload, card, commit, confirm, entries, make_repo

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.hf_api import LFSFileInfo, RepoFile, RepoStorageInfo

log = logging.getLogger(__name__)

HOUSEKEEPING = {CARD, ".gitattributes"}
"""Files of a repository that are the Hub's or describe it; never objects."""


class HuggingFaceBackend:
    """One account of a Hub. It holds no connection of its own: making one is cheap."""

    def __init__(self, place: HubPlace) -> None:
        self.place = place
        self.hub = HubClient(place)

    def put(self, files: Sequence[FileToPut], progress: Progress) -> list[StoredObject]:
        """See Backend.put. One commit for each repository."""
        meter = Meter(progress)
        by_repo: dict[str, list[FileToPut]] = {}
        for file in files:
            checked(file.repo, file.path)
            by_repo.setdefault(file.repo, []).append(file)
        stored: dict[tuple[str, str], StoredObject] = {}
        try:
            for repo, its in by_repo.items():
                found = RepoUpload(self.hub, repo, its, meter).run()
                stored |= {(repo, path): what for path, what in found.items()}
        except Exception:
            if meter.stopped is not None:
                raise meter.stopped from None
            raise
        return [stored[file.repo, file.path] for file in files]

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None:
        """See Backend.send_ahead. The chunks are kept by Xet without a name; the repository is made, for it gives the
        permission. One account of a Hub does it for all of this host: the others' `put` finds the chunks known."""
        repo_id = self.hub.repo_id(repo)
        checked(repo, path)
        try:
            permission = self.hub.write_token(repo_id)
        except ObjectMissingError:
            make_repo(self.hub, repo_id)
            permission = self.hub.write_token(repo_id)
        if permission is None:
            return
        with self.hub.alone(f"ahead {file.path}") as alone:
            if alone:
                hf_chunks.send_ahead(self.hub, repo_id, permission, file)

    def drop_ahead(self, repo: str, path: str) -> None:
        """See Backend.drop_ahead. Chunks without a file are the Hub's to forget."""

    def copy_from(self, other: Backend, file: FileToPut) -> StoredObject | None:
        """See Backend.copy_from. Possible where our token can read the other's repository and the file lies in Xet."""
        if not isinstance(other, HuggingFaceBackend) or other.hub.endpoint != self.hub.endpoint:
            return None
        checked(file.repo, file.path)
        source, target = other.hub.repo_id(file.repo), self.hub.repo_id(file.repo)
        if not self._can_copy(source, file):
            return None
        return self._copy(source, target, other, file)

    def _can_copy(self, source: str, file: FileToPut) -> bool:
        try:
            found = entries(self.hub, source, [file.path])
        except ObjectMissingError:
            return False
        return any(entry.lfs is not None and entry.lfs.sha256 == file.sha256 and entry.xet_hash for entry in found)

    def _copy(self, source: str, target: str, other: HuggingFaceBackend, file: FileToPut) -> StoredObject | None:
        from huggingface_hub import CommitOperationCopy

        operations: Sequence[Any] = [
            CommitOperationCopy(file.path, file.path, src_repo_id=source, src_repo_type=DATASET),
            *self._missing_card(target),
        ]
        try:
            commit(self.hub, target, operations, f"Store {file.path}", lambda: self._can_copy(target, file))
        except (CopyRefusedError, ObjectMissingError):
            return None
        return confirm(self.hub, target, [file], {}, other.tail)[file.path]

    def _missing_card(self, repo_id: str) -> Sequence[CommitOperationAdd]:
        """What describes the repository, if nothing does; the repository is made if it isn't there."""
        try:
            return [] if entries(self.hub, repo_id, [CARD]) else [card()]
        except ObjectMissingError:
            make_repo(self.hub, repo_id)
            return [card()]

    def tail(self, file: FileToPut, start: int) -> bytes:
        """The stored bytes from `start` to the end."""
        return b"".join(self.open(file.repo, file.path, start, file.size))

    def stat(self, repo: str, path: str) -> StoredObject:
        """See Backend.stat. A small text has no sha256 at the Hub: it is read for that."""
        entry = self._entry(repo, checked(repo, path))
        return StoredObject(entry.size, self._sha256(repo, entry), entry.blob_id)

    def _entry(self, repo: str, path: str) -> RepoFile:
        repo_id = self.hub.repo_id(repo)
        try:
            found = entries(self.hub, repo_id, [path])
        except ObjectMissingError:
            self.hub.must_know_us()
            raise
        for entry in found:
            if entry.path == path:
                return entry
        raise ObjectMissingError(f"{path} is not in {repo_id}.")

    def _sha256(self, repo: str, entry: RepoFile) -> str:
        if entry.lfs is not None:
            return entry.lfs.sha256
        digest = hashlib.sha256()
        for chunk in self.open(repo, entry.path):
            digest.update(chunk)
        return digest.hexdigest()

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See Backend.open."""
        return Reading(self.hub, self.hub.repo_id(repo), checked(repo, path)).read(start, end)

    def delete(self, repo: str, path: str) -> None:
        """See Backend.delete. Its content goes from the repository's history as well, or it would be counted on."""
        from huggingface_hub import CommitOperationDelete

        repo_id = self.hub.repo_id(repo)
        try:
            entry = self._entry(repo, checked(repo, path))
            commit(
                self.hub,
                repo_id,
                [CommitOperationDelete(path, is_folder=False)],
                f"Remove {path}",
                lambda: not entries(self.hub, repo_id, [path]),
            )
        except ObjectMissingError:
            return
        if entry.lfs is not None:
            self._forget_content(repo, entry.lfs.sha256)

    def _forget_content(self, repo: str, sha256: str) -> None:
        """Free what a removed file took, unless the same content lies there under another name. That the account
        doesn't let us do so is no failure: the object itself is gone."""
        repo_id = self.hub.repo_id(repo)
        try:
            with translated(self.hub.name), self.hub.lock(repo_id):
                if any(found.sha256 == sha256 for found in self.list(repo)):
                    return
                content = [file for file in self._contents(repo_id) if file.file_oid == sha256]
                self.hub.api.permanently_delete_lfs_files(repo_id, content, repo_type=DATASET)
        except StorageError as error:
            log.warning("A removed file of %s still takes room on Hugging Face: %s", repo_id, error)

    def _contents(self, repo_id: str) -> Iterator[LFSFileInfo]:
        return iter(self.hub.api.list_lfs_files(repo_id, repo_type=DATASET))

    def list(self, repo: str | None = None) -> Iterator[ListedObject]:
        """See Backend.list."""
        for name in [repo] if repo else self._repos():
            try:
                yield from self._tree(name)
            except ObjectMissingError:
                self.hub.must_know_us()

    def _tree(self, repo: str) -> Iterator[ListedObject]:
        from huggingface_hub.hf_api import RepoFile

        with translated(self.hub.name):
            for entry in self.hub.api.list_repo_tree(self.hub.repo_id(repo), recursive=True, repo_type=DATASET):
                if isinstance(entry, RepoFile) and entry.path not in HOUSEKEEPING:
                    sha256 = entry.lfs.sha256 if entry.lfs is not None else None
                    yield ListedObject(repo, entry.path, entry.size, sha256, entry.blob_id)

    def _repos(self) -> Sequence[str]:
        """Names of our repositories, without the user."""
        ours = f"{self.place.username}/{self.place.prefix}-"
        found = [info.id for info in self._usage() if info.type == DATASET and info.id.startswith(ours)]
        return [name.partition("/")[2] for name in found]

    def _usage(self) -> Sequence[RepoStorageInfo]:
        """Every repository of the account, whatever it is for. An account may be an organization of the token's user;
        whose token it is, is asked only when there is doubt, for the Hub allows that question but rarely."""
        own = self._usage_of(None)
        if found := [info for info in own if info.id.startswith(f"{self.place.username}/")]:
            return found
        return [] if self.hub.must_know_us() else self._usage_of(self.place.username)

    def _usage_of(self, organization: str | None) -> Sequence[RepoStorageInfo]:
        with translated(self.hub.name):
            return self.hub.patiently(lambda: [*self.hub.api.list_user_repos(organization)])

    def capacity(self) -> Capacity:
        """See Backend.capacity. No Hub tells its limits, so free bytes are unknown."""
        return Capacity(sum(info.storage for info in self._usage()))

    def direct_url(self, repo: str, path: str) -> str | None:
        """See Backend.direct_url. Of a private repository it asks for a token."""
        return self.hub.resolve_url(self.hub.repo_id(repo), path)

    def signed_url(self, repo: str, path: str) -> SignedUrl:
        """See RemoteBackend.signed_url: the Hub's own signed URL, which is good for about an hour."""
        return hf_signed.signed_url(self.hub, self.hub.repo_id(repo), checked(repo, path))
