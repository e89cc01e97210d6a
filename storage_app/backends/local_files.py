"""Bytes of files on this host: copied inside the kernel, hashed from where they lie, made durable."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from storage_app.backends.base import (
    ContentMismatchError,
    FileTooLargeError,
    ObjectMissingError,
    Progress,
    StorageAuthError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StoredObject,
)

CHUNK = 1024 * 1024
TAIL = 64 * 1024
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_NOT_IN_THE_KERNEL = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


@contextmanager
def translated(root: Path, what: str = "") -> Iterator[None]:
    """Errors of the operating system as storage errors that say what to do; `what` names the object."""
    try:
        yield
    except OSError as error:
        raise _translation(root, what, error) from error


def _translation(root: Path, what: str, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    if error.errno in NOT_THERE and (root.is_dir() or not root.exists()):
        return ObjectMissingError(f"{what or 'The object'} is not in {root}.")
    if error.errno in _FULL:
        return StorageFullError(f"{root} has no room for it ({reason}). Free some space; the job goes on by itself.")
    if error.errno == errno.EFBIG:
        return FileTooLargeError(f"{root} takes no file as large as this one ({reason}).")
    if error.errno in _REFUSED:
        return StorageAuthError(f"{root} can't be used: {reason}. Check its owner, its permissions and its mount.")
    if error.errno == errno.ENAMETOOLONG:
        return StorageError(f"{root} can't hold an object with a name as long as that of {what}.")
    return StorageUnavailableError(f"{root}: {reason}. Check its disk and its mount.")


def clone(source: int, target: int) -> bool:
    """Let `target` share the blocks of `source` until either is written to; False where the disk can't do that."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False  # whatever stands in the way, the ordinary copy that follows says it
    return True


def copy_range(source: int, target: int, start: int, length: int) -> int:
    """Copy up to `length` bytes at `start`, inside the kernel where it can; how many: 0 at the end of `source`."""
    try:
        copied = os.copy_file_range(source, target, length, start, start)
    except OSError as error:
        if error.errno not in _NOT_IN_THE_KERNEL:
            raise
        copied = 0
    # Some file systems answer 0 for a file that isn't at its end.
    return copied or _copy_here(source, target, start, length)


def _copy_here(source: int, target: int, start: int, length: int) -> int:
    view = memoryview(os.pread(source, length, start))
    done = 0
    while done < len(view):
        done += os.pwrite(target, view[done:], start + done)
    return done


def fill(target: int, source: int, size: int, progress: Progress) -> str:
    """Bring `target`, which may hold a beginning already, to the `size` bytes of `source`; the sha256 of what it holds.

    What is hashed was read from the target, and its tail once more from the disk itself. Raises ContentMismatchError
    when that differs, OSError, and what `progress` raises.
    """
    have, position = os.fstat(target).st_size, 0
    digest, tail = hashlib.sha256(), b""
    while position < size:
        if position >= have:
            copied = copy_range(source, target, have, min(CHUNK, size - have))
            if not copied:
                break
            have += copied
        piece = os.pread(target, min(CHUNK, have - position), position)
        digest.update(piece)
        tail = piece[-TAIL:] if len(piece) >= TAIL else (tail + piece)[-TAIL:]
        position += len(piece)
        progress(position)
    os.fsync(target)
    os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
    if os.pread(target, TAIL + 1, position - len(tail)) != tail:
        raise ContentMismatchError("The end of the copy reads differently from what was written. Check the disk.")
    return digest.hexdigest()


def hash_of(file: BinaryIO, progress: Progress) -> str:
    """The sha256 of all of it; `progress` gets the bytes read so far and may raise."""
    digest, done = hashlib.sha256(), 0
    while piece := file.read(CHUNK):
        digest.update(piece)
        done += len(piece)
        progress(done)
    return digest.hexdigest()


def described(descriptor: int, sha256: str) -> StoredObject:
    """An open file as an object of this content."""
    found = os.fstat(descriptor)
    return StoredObject(found.st_size, sha256, etag_of(found))


def etag_of(found: os.stat_result) -> str:
    """The mark of a content: its size, and when it was written."""
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def open_regular(root: Path, path: Path) -> BinaryIO:
    """Open a file below `root` to read it. Raises OSError, also for what is no ordinary file."""
    descriptor = os.open(confined(root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "It is not a file", str(path))


def confined(root: Path, path: Path) -> Path:
    """`path` itself. Raises StorageError when its folder lies outside `root` by a symbolic link."""
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise StorageError(f"A symbolic link leads out of {root} on the way to {path.relative_to(root)}. Remove it.")
    return path


def make_folders(root: Path, folder: Path) -> None:
    """Make `folder` and what it lies in, durably. Raises OSError, and StorageError as `confined` does."""
    confined(root, folder / "_")
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder == folder.parent:
            break
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def is_object(name: str) -> bool:
    """May a file or folder of this name be, or hold, an object?"""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and not name.startswith(".") and "\\" not in name and "\0" not in name


def walk(folder: Path, on_part: Callable[[Path], None], before: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Each object below `folder`: its path in there, and what its file is. Links are not followed. Raises OSError.

    What is removed meanwhile is left out; `on_part` gets each hidden file that is a copy in the making.
    """
    try:
        with os.scandir(folder) as found:
            children = sorted(found, key=lambda child: child.name)
    except FileNotFoundError:
        return
    for child in children:
        if child.name.startswith(".") and child.name.endswith(".part"):
            on_part(folder / child.name)
        elif not is_object(child.name):
            continue
        elif child.is_dir(follow_symlinks=False):
            yield from walk(folder / child.name, on_part, f"{before}{child.name}/")
        elif child.is_file(follow_symlinks=False):
            try:
                status = child.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield before + child.name, status


def entries(root: Path) -> list[str]:
    """What lies in `root` but for what every new file system has. Raises OSError."""
    return [path.name for path in root.iterdir() if path.name != "lost+found"]


def prune(root: Path, folder: Path) -> None:
    """Remove `folder` and those above it that are empty, but for the last entry of `root`: an account in use whose
    folder is empty is taken for one that isn't mounted."""
    with suppress(OSError):  # not empty, most of the time
        while folder != root:
            if folder.parent == root and len(entries(root)) < 2:
                return
            folder.rmdir()
            folder = folder.parent


def sync_folder(folder: Path) -> None:
    """Make names in this folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_root(root: Path, *, in_use: bool) -> None:
    """Raises StorageUnavailableError when the folder is none, or is missing or empty though it should hold copies."""
    if root.exists() and not root.is_dir():
        raise StorageUnavailableError(f"{root} is not a folder. Look at what lies there.")
    if not in_use:
        return
    try:
        if entries(root):
            return
        state = "is empty"
    except FileNotFoundError:
        state = "is missing"
    except OSError:
        return  # whatever it is, the operation itself meets it and says it
    raise StorageUnavailableError(f"{root} {state}, though it should hold copies. Is its disk mounted?")
