"""Storing files in a repository: send what the Hub lacks, commit once, and believe only what it says afterwards."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage_app.backends import hf_chunks
from storage_app.backends.base import (
    ContentMismatchError,
    FileToPut,
    ObjectMissingError,
    StorageUnavailableError,
    StoredObject,
)
from storage_app.backends.hf_client import DATASET, WAITS, HubClient, may_pass
from storage_app.backends.hf_errors import translated
from storage_app.backends.hf_meter import Meter
from storage_app.backends.hf_reading import Reading

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.hf_api import RepoFile

TAIL = 64 * 1024
"""Bytes of a file's end that are read back."""
CARD = "README.md"
_CARD_TEXT = """\
---
pretty_name: Video archive
viewer: false
---

# Video archive

This repository is kept by Reelkeep, a video archive manager. Its files are archive copies of videos, with their
captions and descriptions; other copies lie on other accounts. Files are written and removed by the program: what is
changed here by hand is put right by it, or reported to its operator.
"""


class RepoUpload:
    """The files of one `put` that belong to one repository."""

    def __init__(self, hub: HubClient, repo: str, files: Sequence[FileToPut], meter: Meter) -> None:
        self.hub = hub
        self.repo_id = hub.repo_id(repo)
        self.files = {file.path: file for file in files}
        self.meter = meter

    def run(self) -> dict[str, StoredObject]:
        """What is stored at each path. Raises StorageErrors."""
        additions = {path: _addition(file) for path, file in self.files.items()}
        description = card()
        self._ask_modes([*additions.values(), description])
        new = [add for add in additions.values() if add._remote_oid is None or add._remote_oid != add._local_oid]
        sent = self._send([self.files[add.path_in_repo] for add in new if add._upload_mode == "lfs"], new)
        if new:
            self._commit([*new, *([description] if description._remote_oid is None else [])])
        found = confirm(self.hub, self.repo_id, list(self.files.values()), sent, _local_tail)
        for path, file in self.files.items():
            self.meter.at(f"{self.repo_id} {path}", 0 if path in sent else file.size)
        return found

    def _ask_modes(self, additions: Sequence[CommitOperationAdd]) -> None:
        """Learn of each file whether the Hub has it and how it wants to get it. Makes the repository if need be."""
        from huggingface_hub._commit_api import _fetch_upload_modes

        def ask() -> None:
            with translated(self.hub.name):
                _fetch_upload_modes(
                    additions, DATASET, self.repo_id, self.hub.headers, "main", endpoint=self.hub.endpoint
                )

        try:
            ask()
        except ObjectMissingError:
            make_repo(self.hub, self.repo_id)
            ask()

    def _send(self, large: Sequence[FileToPut], additions: Sequence[CommitOperationAdd]) -> dict[str, str]:
        """Send the content of the large ones; their Xet hashes, where it went that way."""
        if not large:
            return {}
        permission = self.hub.write_token(self.repo_id)
        if permission is not None:
            hashes = hf_chunks.upload(self.hub, self.repo_id, permission, large, self.meter)
            for addition in additions:
                addition._is_uploaded = addition._upload_mode == "lfs"
            return hashes
        self._send_by_lfs([addition for addition in additions if addition._upload_mode == "lfs"])
        return {}

    def _send_by_lfs(self, additions: Sequence[CommitOperationAdd]) -> None:
        """By the client's own upload, which reads from files that tell the meter how far it is. The same content
        under two names goes once."""
        once = {addition.upload_info.sha256: addition for addition in additions}
        readers = []
        for addition in once.values():
            path, source = addition.path_in_repo, self.files[addition.path_in_repo].source
            readers.append(_Counted(source, self.meter, f"{self.repo_id} {path}"))
            addition.path_or_fileobj = readers[-1]
        try:
            with translated(self.hub.name):
                self.hub.api.preupload_lfs_files(
                    self.repo_id, once.values(), repo_type=DATASET, num_threads=2, free_memory=False
                )
        finally:
            for reader in readers:
                reader.close()
        for addition in additions:
            addition._is_uploaded = True
            addition.path_or_fileobj = str(self.files[addition.path_in_repo].source)

    def _commit(self, additions: Sequence[CommitOperationAdd]) -> None:
        names = [addition.path_in_repo for addition in additions if addition.path_in_repo != CARD]
        message = f"Store {names[0]}" if len(names) == 1 else f"Store {len(names)} files"
        wanted = {path: file for path, file in self.files.items() if path in names}
        commit(self.hub, self.repo_id, additions, message, lambda: self._landed(wanted), self.meter)

    def _landed(self, wanted: Mapping[str, FileToPut]) -> bool:
        found = {entry.path: entry for entry in entries(self.hub, self.repo_id, list(wanted))}
        return all(path in found and _same(found[path], file) for path, file in wanted.items())


def confirm(
    hub: HubClient,
    repo_id: str,
    files: Sequence[FileToPut],
    sent: Mapping[str, str],
    tail_of: Callable[[FileToPut, int], bytes],
) -> dict[str, StoredObject]:
    """Compare size, hash and tail of every file with what the account says and gives.

    `sent` has the Xet hashes of what was just sent: the Hub believes our word for the sha256 of that, but it has
    computed this one itself. `tail_of` gives a file's bytes from a position on. Raises ContentMismatchError.
    """
    found = {entry.path: entry for entry in entries(hub, repo_id, [file.path for file in files])}
    stored = {}
    for file in files:
        entry = found.get(file.path)
        if entry is None:
            raise ContentMismatchError(f"{repo_id} does not show {file.path} after it was committed.")
        if not _same(entry, file) or (entry.xet_hash and sent.get(file.path, entry.xet_hash) != entry.xet_hash):
            raise ContentMismatchError(f"{file.path} in {repo_id} does not have the file's size and hash.")
        start = max(0, file.size - TAIL)
        theirs = b"".join(Reading(hub, repo_id, file.path).read(start, file.size))
        if theirs != tail_of(file, start):
            raise ContentMismatchError(f"The end of {file.path} in {repo_id} reads back as other bytes.")
        stored[file.path] = StoredObject(file.size, file.sha256, entry.blob_id)
    return stored


def make_repo(hub: HubClient, repo_id: str) -> None:
    """Make the repository that was not found, if it is ours to make. Raises StorageAuthError if it isn't."""
    hub.must_know_us()
    hub.create_repo(repo_id)


def commit(
    hub: HubClient,
    repo_id: str,
    operations: Sequence[Any],
    message: str,
    landed: Callable[[], bool],
    meter: Meter | None = None,
) -> None:
    """Commit, again when another commit was in the way, or when the answer was lost and nothing has come of it.

    No parent is named: our commits touch files of their own, and may follow anybody's.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    with translated(hub.name), hub.lock(repo_id, meter):
        for wait in (*WAITS, None):
            failure: Exception
            try:
                hub.api.create_commit(repo_id, list(operations), commit_message=message, repo_type=DATASET)
            except HfHubHTTPError as error:
                if not may_pass(error.response):
                    raise
                failure = error
            except httpx2.TransportError as error:
                failure = error
            else:
                return
            if _is_unclear(failure) and landed():
                return
            if wait is None:
                raise failure
            time.sleep(wait * random.uniform(0.7, 1.3))  # noqa: S311 - so that two hosts don't stay in step


def entries(hub: HubClient, repo_id: str, paths: list[str]) -> list[RepoFile]:
    """What the Hub says of those of the files that are there. Raises StorageErrors."""
    from huggingface_hub.hf_api import RepoFile

    with translated(hub.name):
        found = hub.patiently(lambda: hub.api.get_paths_info(repo_id, paths, repo_type=DATASET))
    return [entry for entry in found if isinstance(entry, RepoFile)]


class _Counted(io.BufferedReader):
    """A file that tells how far it has been read. Being no path, it makes the client upload by LFS."""

    def __init__(self, path: Path, meter: Meter, part: str) -> None:
        super().__init__(io.FileIO(path))
        self.meter = meter
        self.part = part

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.meter.at(self.part, self.tell())
        return data


def _addition(file: FileToPut) -> CommitOperationAdd:
    """With the hash that is known already. Raises StorageErrors when the file isn't what it was."""
    from huggingface_hub import CommitOperationAdd

    if not file.source.is_file():
        raise StorageUnavailableError(f"{file.source.name} is no longer on this host's disk.")
    if file.source.stat().st_size != file.size:
        raise ContentMismatchError(f"{file.source.name} has changed on this host's disk since it was proven.")
    addition = CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=str(file.source))
    addition.upload_info.sha256 = bytes.fromhex(file.sha256)
    return addition


def card() -> CommitOperationAdd:
    """What says to people what the repository is."""
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(path_in_repo=CARD, path_or_fileobj=_CARD_TEXT.encode())


def _same(entry: RepoFile, file: FileToPut) -> bool:
    """By sha256 for large files; small ones are git blobs, which have git's own hash."""
    from huggingface_hub.utils.sha import git_hash

    if entry.size != file.size:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == file.sha256 and entry.lfs.size == file.size
    return entry.blob_id == git_hash(file.source.read_bytes())


def _local_tail(file: FileToPut, start: int) -> bytes:
    with file.source.open("rb") as reader:
        reader.seek(start)
        return reader.read()


def _is_unclear(error: Exception) -> bool:
    """Whether the commit may have been made although no good answer came."""
    from huggingface_hub.errors import HfHubHTTPError

    return not isinstance(error, HfHubHTTPError) or error.response.status_code not in {409, 412}
