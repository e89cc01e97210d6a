"""What the contract suite needs to know of a kind of account, and how to do harm to one of it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from storage_app.backends.base import Backend, FileToPut, Stopped

REPO = "weaboo-55825"
PATH = "55825/ep1/0123456789abcdef0123456789abcdef.mp4"


class Case(Protocol):
    """One kind of account. Each test gets one with an empty account; names in it begin with `weaboo`."""

    backend: Backend
    secrets: tuple[str, ...]
    """What no error may quote: its token or keys."""
    checks_hash: bool
    """Does a put notice that a file isn't what its sha256 says? (Xet takes our word for it.)"""
    copies: bool
    """Can an account of this kind copy from another one by itself?"""

    def another(self) -> Backend:
        """A second, empty account of this kind, from which `backend` may read."""

    def trace(self, repo: str, path: str) -> object:
        """Something that differs after the object has been written anew, even with the same content."""

    def corrupt(self, repo: str, path: str) -> None:
        """Flip a stored byte, so that the account notices nothing."""

    def vanish(self, repo: str, path: str) -> None:
        """Remove a stored object behind the backend's back."""

    def full(self) -> AbstractContextManager[Backend]:
        """The account, which has no room for 2 MiB until the end of the block."""

    def denied(self) -> AbstractContextManager[Backend]:
        """The account, which doesn't accept us until the end of the block."""

    def unreachable(self) -> AbstractContextManager[Backend]:
        """The account, which can't be reached until the end of the block."""


def pattern(size: int, seed: str = "") -> bytes:
    """`size` bytes that don't repeat and can't be compressed, the same for the same seed."""
    return hashlib.shake_128(f"reelkeep {seed}".encode()).digest(size)


class Desk:
    """Files of this host that are to be put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def file(self, content: bytes, path: str = PATH, repo: str = REPO, sha256: str = "") -> FileToPut:
        """A file of this content, which is to lie there."""
        self._count += 1
        source = self._folder / f"{self._count}"
        source.write_bytes(content)
        kind = "video/mp4" if path.endswith(".mp4") else "application/octet-stream"
        return FileToPut(source, repo, path, sha256 or hashlib.sha256(content).hexdigest(), len(content), kind)


class Growing:
    """A download that goes on when the test says so: the GrowingFile of the contract."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.asked_beyond = 0
        """The largest position beyond which somebody has waited for bytes."""
        self._there = 0
        self._over = False
        self._changed = threading.Condition()
        path.touch()

    def add(self, piece: bytes) -> None:
        """Bytes arrive."""
        with self._changed, self.path.open("ab") as file:
            file.write(piece)
            file.flush()
            self._there += len(piece)
            self._changed.notify_all()

    def stop(self) -> None:
        """The download is over short of its end."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self, position: int, seconds: float) -> int:
        """See GrowingFile.wait."""
        with self._changed:
            self.asked_beyond = max(self.asked_beyond, position)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._there > position, seconds)
            if self._over and self._there <= position:
                raise Stopped
            return self._there

    def until_asked_beyond(self, position: int, ended: Callable[[], bool]) -> None:
        """Wait until whoever sends it has everything before `position`, or has ended. Raises TimeoutError."""
        with self._changed:
            for _ in range(300):
                if self._changed.wait_for(lambda: self.asked_beyond >= position, 0.1) or ended():
                    return
        raise TimeoutError(f"Nobody has asked for what comes after byte {position}.")
