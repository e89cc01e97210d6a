"""A folder on this host (or mounted on it) as a storage account."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from storage_app.backends.base import (
    Backend,
    Capacity,
    ContentMismatchError,
    FileToPut,
    GrowingFile,
    ListedObject,
    ObjectMissingError,
    Progress,
    StorageAuthError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StoredObject,
)

CHUNK = 1024 * 1024


class LocalBackend:
    """Files under `root/<repo>/<path>`, written beside, synced, and moved into place in one step."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def local_path(self, repo: str, path: str) -> Path:
        """Where the object lies. Raises StorageError for a name that would leave the root."""
        parts = [repo, *path.split("/")]
        if any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
            raise StorageError(f"Not a path inside a storage account: {repo}/{path}")
        return self.root.joinpath(*parts)

    def put(self, files: Sequence[FileToPut], progress: Progress) -> list[StoredObject]:
        """See Backend.put."""
        stored, before = [], 0
        for file in files:
            sent = before
            stored.append(self._put(file, lambda done, sent=sent: progress(sent + done)))  # type: ignore[misc]
            before += file.size
        return stored

    def _put(self, file: FileToPut, progress: Progress) -> StoredObject:
        """Hashes while copying, then again from what was stored.

        What an earlier put of this path left unfinished is removed. If that one still runs (its worker was suspended
        and lost the job), it can't put its file in the place of this one's any more.
        """
        target = self.local_path(file.repo, file.path)
        with _translated(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_parts(target)
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
            part = Path(name)
            try:
                with file.source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
                    copied = _copy(reader.fileno(), writer.fileno(), progress)
                    os.fsync(writer.fileno())
                if copied != file.sha256 or _hash(part) != file.sha256:
                    raise ContentMismatchError(f"The copy in {self.root} does not have the file's sha256.")
                part.chmod(0o644)
                part.replace(target)
                _sync_folder(target.parent)
            finally:
                part.unlink(missing_ok=True)
        return StoredObject(file.size, file.sha256)

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None:
        """See Backend.send_ahead."""

    def copy_from(self, other: Backend, file: FileToPut) -> StoredObject | None:
        """See Backend.copy_from."""
        return None

    def stat(self, repo: str, path: str) -> StoredObject:
        """See Backend.stat."""
        target = self.local_path(repo, path)
        with _translated(self.root):
            return StoredObject(target.stat().st_size, _hash(target))

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See Backend.open."""
        target = self.local_path(repo, path)
        with _translated(self.root), target.open("rb") as reader:
            reader.seek(start)
            left = None if end is None else end - start
            while chunk := reader.read(CHUNK if left is None else min(CHUNK, left)):
                if left is not None:
                    left -= len(chunk)
                yield chunk

    def delete(self, repo: str, path: str) -> None:
        """See Backend.delete."""
        with _translated(self.root):
            self.local_path(repo, path).unlink(missing_ok=True)

    def list(self, repo: str | None = None) -> Iterator[ListedObject]:
        """See Backend.list."""
        with _translated(self.root):
            for path in sorted((self.root / repo if repo else self.root).rglob("*")):
                if path.is_file() and not path.name.startswith("."):
                    name, _, inside = path.relative_to(self.root).as_posix().partition("/")
                    yield ListedObject(name, inside, path.stat().st_size)

    def capacity(self) -> Capacity:
        """See Backend.capacity."""
        with _translated(self.root):
            disk = os.statvfs(self.root)
            return Capacity(sum(found.size for found in self.list()), disk.f_bavail * disk.f_frsize)

    def direct_url(self, repo: str, path: str) -> str | None:
        """None: a folder has no URL of its own."""
        return None


@contextmanager
def _translated(root: Path) -> Iterator[None]:
    """Operating system errors as storage errors that say what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissingError(f"{error.filename} is not there.") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError(f"{root} is full. Free some space; the job goes on by itself.") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise StorageAuthError(f"{root} can't be written: {error.strerror}. Check its owner and mount.") from error
        raise StorageUnavailableError(f"{root}: {error.strerror}.") from error


def _remove_parts(target: Path) -> None:
    for part in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        part.unlink(missing_ok=True)


def _copy(source: int, target: int, progress: Progress) -> str:
    digest = hashlib.sha256()
    done = 0
    while chunk := os.read(source, CHUNK):
        digest.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]
        done += len(chunk)
        progress(done)
    return digest.hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
