"""A folder on this host (or mounted on it) as a storage account.

An object is a file, `root/<repo>/<path>`. It is written beside its place, hashed, synced, and moved there in one step.
Blocks are shared with the source where the file system can do that (a reflink: whoever writes to either file later
gets blocks of its own). Hard links are never made: whoever still had the scratch file open for writing, such as a
suspended task, would change the stored copy with it, and two accounts on one disk would hold the same file only once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from storage_app.backends.base import (
    Backend,
    Capacity,
    ContentMismatchError,
    FileToPut,
    GrowingFile,
    ListedObject,
    ObjectMissingError,
    Progress,
    StorageError,
    StorageUnavailableError,
    StoredObject,
)
from storage_app.backends.local_files import (
    CHUNK,
    NOT_THERE,
    clone,
    confined,
    copy_range,
    described,
    entries,
    etag_of,
    fill,
    hash_of,
    is_object,
    open_regular,
    prune,
    require_root,
    sync_folder,
    translated,
    walk,
)
from storage_app.backends.local_parts import (
    AHEAD,
    Overtaken,
    Part,
    discard_left_behind,
    forget_if_stale,
    held,
)

_SYNC_BYTES = 64 * CHUNK
_WAIT_SECONDS = 1.0


class LocalBackend:
    """Copies in `root`.

    `prefix` begins the names of our repositories (`weaboo` for `weaboo-55825`); without one every folder is ours.
    `in_use` says that there are copies here for certain: then a root that is missing or empty is one that isn't
    mounted, and every method raises StorageUnavailableError instead of taking the copies for lost, or filling the disk
    below the mount point. Names of files and folders that begin with a dot are not for objects.
    """

    def __init__(self, root: Path, *, prefix: str = "", in_use: bool = False) -> None:
        self.root = root
        self.prefix = prefix
        self.in_use = in_use

    def local_path(self, repo: str, path: str) -> Path:
        """Where the object lies. Raises StorageError for a name that would leave the root, or that can't be one."""
        parts = [repo, *path.split("/")]
        if "/" in repo or not all(is_object(part) for part in parts):
            raise StorageError(f"Not a path inside a storage account: {f'{repo}/{path}'!a}")
        return self.root.joinpath(*parts)

    def open_file(self, repo: str, path: str) -> BinaryIO:
        """The object itself, opened to be read. Raises ObjectMissingError."""
        target = self.local_path(repo, path)
        self._ready()
        with self._errors(f"{repo}/{path}"):
            return open_regular(self.root, target)

    def put(self, files: Sequence[FileToPut], progress: Progress) -> list[StoredObject]:
        """See Backend.put. Raises OSError too, for a source that can't be opened."""
        stored, before = [], 0
        for file in files:
            with file.source.open("rb") as source:
                stored.append(self._put(file, source.fileno(), _Meter(progress, before)))
            before += file.size
        return stored

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None:
        """See Backend.send_ahead. A put of another content that begins in the meantime ends it."""
        target = self.local_path(repo, path)
        self._ready()
        with (
            file.path.open("rb") as source,
            self._errors(f"{repo}/{path}"),
            held(self.root, target, AHEAD, file.size) as part,
        ):
            try:
                self._make_sure_of_room(file.size - part.size)
                _follow(file, source.fileno(), part)
            except OSError:
                part.discard()
                raise

    def drop_ahead(self, repo: str, path: str) -> None:
        """See Backend.drop_ahead. What somebody works at just now stays."""
        target = self.local_path(repo, path)
        self._ready()
        with translated(self.root), suppress(FileNotFoundError, NotADirectoryError):
            discard_left_behind(confined(self.root, target))
        prune(self.root, target.parent)

    def copy_from(self, other: Backend, file: FileToPut) -> StoredObject | None:
        """See Backend.copy_from: from another folder of this host. Raises ObjectMissingError when it isn't there."""
        if not isinstance(other, LocalBackend):
            return None
        with other.open_file(file.repo, file.path) as source:
            return self._put(file, source.fileno(), _Meter(lambda _: None, 0))

    def stat(self, repo: str, path: str) -> StoredObject:
        """See Backend.stat. A folder keeps no hashes: the file is read."""
        with self.open_file(repo, path) as file, translated(self.root):
            return described(file.fileno(), hash_of(file, lambda _: None))

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See Backend.open."""
        if start < 0:
            raise ValueError("There are no bytes before the first one.")
        with self.open_file(repo, path) as file, translated(self.root):
            left = os.fstat(file.fileno()).st_size - start if end is None else end - start
            file.seek(start)
            while left > 0 and (piece := file.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece

    def delete(self, repo: str, path: str) -> None:
        """See Backend.delete. Folders that are empty then go too."""
        target = self.local_path(repo, path)
        self._ready()
        with translated(self.root), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            discard_left_behind(confined(self.root, target))
            target.unlink()
            sync_folder(target.parent)
        prune(self.root, target.parent)

    def list(self, repo: str | None = None) -> Iterator[ListedObject]:
        """See Backend.list: in the order of repositories and, folder by folder, of names."""
        self._ready()
        if repo is None:
            return self._everything()
        self.local_path(repo, "_")
        return self._objects(repo)

    def capacity(self) -> Capacity:
        """See Backend.capacity: by a walk over the folder, which also forgets parts that were left behind days ago."""
        self._ready()
        used = files = 0
        for listed in self._everything(forget_if_stale):
            used, files = used + listed.size, files + 1
        with self._errors():
            disk = os.statvfs(next(folder for folder in (self.root, *self.root.parents) if folder.exists()))
        return Capacity(used, disk.f_bavail * disk.f_frsize, files)

    def direct_url(self, repo: str, path: str) -> str | None:
        """None: a folder has no URL of its own."""
        return None

    def _ready(self) -> None:
        require_root(self.root, in_use=self.in_use)

    @contextmanager
    def _errors(self, what: str = "") -> Iterator[None]:
        try:
            with translated(self.root, what):
                yield
        except ObjectMissingError:
            self._ready()  # it may have been unmounted just now
            raise

    def _put(self, file: FileToPut, source: int, progress: Progress) -> StoredObject:
        target = self.local_path(file.repo, file.path)
        self._ready()
        with self._errors(f"{file.repo}/{file.path}"):
            if os.fstat(source).st_size != file.size:
                raise ContentMismatchError(f"The file to put at {file.repo}/{file.path} has not {file.size} bytes.")
            stored = self._there(target, file, progress)
            if stored is None:
                stored = self._store(target, file, source, progress)
            else:
                discard_left_behind(target)
        progress(file.size)
        return stored

    def _there(self, target: Path, file: FileToPut, progress: Progress) -> StoredObject | None:
        """What is there already, if it has this very content; read back, for nothing else tells."""
        try:
            with open_regular(self.root, target) as found:
                same_size = os.fstat(found.fileno()).st_size == file.size
                if same_size and hash_of(found, lambda _: progress(0)) == file.sha256:
                    return described(found.fileno(), file.sha256)
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
        return None

    def _store(self, target: Path, file: FileToPut, source: int, progress: Progress) -> StoredObject:
        with held(self.root, target, file.sha256, file.size) as part:
            try:
                self._fill(part, file, source, progress)
                part.become(target)
            except Overtaken:
                stored = self._there(target, file, progress)
                if stored is None:
                    raise StorageUnavailableError(f"Another put of {file.path} in {self.root} came between.") from None
                return stored
            except BaseException:
                part.discard()
                prune(self.root, target.parent)
                raise
            sync_folder(target.parent)
            return described(part.descriptor, file.sha256)

    def _fill(self, part: Part, file: FileToPut, source: int, progress: Progress) -> None:
        begun = part.size > 0
        if begun or not clone(source, part.descriptor):
            self._make_sure_of_room(file.size - part.size)
        found = fill(part.descriptor, source, file.size, progress)
        if begun and found != file.sha256:  # what was left behind is the beginning of something else
            os.ftruncate(part.descriptor, 0)
            found = fill(part.descriptor, source, file.size, progress)
        if found != file.sha256:
            raise ContentMismatchError(f"The copy of {file.path} in {self.root} does not have the file's sha256.")

    def _make_sure_of_room(self, length: int) -> None:
        """Rather than fill the disk and fail at its end. Raises OSError."""
        disk = os.statvfs(self.root)
        if disk.f_bavail * disk.f_frsize < length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _everything(self, on_part: Callable[[Path], None] | None = None) -> Iterator[ListedObject]:
        with self._errors():
            names = sorted(entries(self.root)) if self.in_use or self.root.exists() else []
        for name in names:
            if name.startswith(f"{self.prefix}-" if self.prefix else "") and is_object(name):
                yield from self._objects(name, on_part)
        self._ready()  # what was unmounted in the middle would look like objects that are gone

    def _objects(self, repo: str, on_part: Callable[[Path], None] | None = None) -> Iterator[ListedObject]:
        folder = self.root / repo
        with translated(self.root):
            if folder.is_dir() and not folder.is_symlink():
                for path, found in walk(folder, on_part or (lambda _: None)):
                    yield ListedObject(repo, path, found.st_size, None, etag_of(found))


class _Meter:
    """Progress over all of the files of a put; it never goes back, though a part may have to be begun again."""

    def __init__(self, progress: Progress, before: int) -> None:
        self._progress = progress
        self._before = before
        self._most = 0

    def __call__(self, done: int) -> None:
        self._most = max(self._most, done)
        self._progress(self._before + self._most)


def _follow(file: GrowingFile, source: int, part: Part) -> None:
    """Copy what there is of the file, and what is added. Raises Stopped, OSError."""
    position = synced = part.size
    while position < file.size and part.named:
        there = min(file.wait(position, _WAIT_SECONDS), file.size)
        while position < there:
            copied = copy_range(source, part.descriptor, position, min(CHUNK, there - position))
            if not copied:
                return
            position += copied
        if position - synced >= _SYNC_BYTES:
            os.fdatasync(part.descriptor)
            synced = position
    os.fsync(part.descriptor)
