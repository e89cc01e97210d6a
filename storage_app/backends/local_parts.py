"""Copies in the making: hidden files beside the object that they will become.

`.<object>.<content>.<random>.part`: the first 24 hex digits of the sha256 of the object's name, the first 16 of the
content's (`ahead` as long as nobody knows it), and something random. Who writes to one holds a lock on it (flock); the
kernel lets go of a dead one's, and the next `put` of that object goes on with it. One that still lives is left alone
when it carries the same content, and loses its name otherwise: then it can't take the place of what was put later.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage_app.backends.local_files import make_folders

AHEAD = "ahead"
_STALE_SECONDS = 3 * 24 * 3600
_ATTEMPTS = 10


class Overtaken(Exception):
    """Another content was put at this place in the meantime, and this copy has lost its name."""


class Part:
    """A part that is held: nobody else writes to it. `descriptor` is open for reading and writing."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @property
    def size(self) -> int:
        """Bytes that it has."""
        return os.fstat(self.descriptor).st_size

    @property
    def named(self) -> bool:
        """Has it still got its name?"""
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def become(self, target: Path) -> None:
        """Move it into its place. Raises Overtaken, OSError."""
        os.fchmod(self.descriptor, 0o644)
        try:
            self.path.rename(target)
        except FileNotFoundError:
            raise Overtaken from None

    def discard(self) -> None:
        """Remove it."""
        if self.named:
            self.path.unlink(missing_ok=True)


@contextmanager
def held(root: Path, target: Path, content: str, size: int) -> Iterator[Part]:
    """A part for this object, held until the end of the block: the one that somebody dead has left, or a new one.

    `content` is the sha256, or AHEAD. Parts that are larger than `size` bytes, and further ones, are removed; living
    ones of another content lose their name. Raises OSError.
    """
    part = _begin(root, target, content, size)
    try:
        yield part
    finally:
        os.close(part.descriptor)


def _begin(root: Path, target: Path, content: str, size: int) -> Part:
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):  # a deletion has just removed a folder as empty
            make_folders(root, target.parent)
            return _left_behind(target, content, size) or _new(target, content)
    make_folders(root, target.parent)
    return _new(target, content)


def discard_left_behind(target: Path) -> None:
    """Remove what nobody works at any more."""
    for path in target.parent.glob(f".{_mark(target)}.*.part"):
        if part := _hold(path):
            part.discard()
            os.close(part.descriptor)


def forget_if_stale(path: Path) -> None:
    """Remove a part to which nobody has written for days."""
    with suppress(OSError):  # it has just been finished, or can't be removed now: another time
        if time.time() - path.stat().st_mtime > _STALE_SECONDS and (part := _hold(path)):
            part.discard()
            os.close(part.descriptor)


def _left_behind(target: Path, content: str, size: int) -> Part | None:
    own = f".{_mark(target)}.{content[:16]}."
    found: list[Part] = []
    for path in target.parent.glob(f".{_mark(target)}.*.part"):
        if part := _hold(path):
            found.append(part)
        elif not path.name.startswith(own):
            path.unlink(missing_ok=True)
    fitting = [part for part in found if part.size <= size]
    best = max(fitting, key=lambda part: (part.path.name.startswith(own), part.size), default=None)
    for part in found:
        if part is not best:
            part.discard()
            os.close(part.descriptor)
    return best and _renamed(best, target, content)


def _renamed(part: Part, target: Path, content: str) -> Part:
    """The same part under a name that tells its new content."""
    path = target.with_name(f".{_mark(target)}.{content[:16]}.{part.path.name.split('.')[-2]}.part")
    part.path.rename(path)
    part.path = path
    return part


def _new(target: Path, content: str) -> Part:
    prefix = f".{_mark(target)}.{content[:16]}."
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".part")
    with suppress(OSError):  # where there are no locks, nobody takes over what others have left
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Part(Path(name), descriptor)


def _hold(path: Path) -> Part | None:
    """The part under a lock; None when it lives, is gone, or this file system knows no locks."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    part = Part(path, descriptor)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its owner may have moved it into its place before it let go: then it is an object, and nobody's to write to.
        if part.named:
            return part
    os.close(descriptor)
    return None


def _mark(target: Path) -> str:
    return hashlib.sha256(target.name.encode()).hexdigest()[:24]
