"""A folder as the account under test."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage_app.backends.base import Backend
from storage_app.backends.local import LocalBackend

_CAPABILITY_VERSION_3 = 0x20080522
_IGNORES_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class LocalCase:
    """Real folders and real limits of the kernel; works for any user, root included."""

    secrets: tuple[str, ...] = ()
    checks_hash = True
    copies = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "account"
        self.backend: Backend = LocalBackend(self.root, prefix="weaboo")

    def another(self) -> Backend:
        """A folder beside it."""
        return LocalBackend(self._folder / "another", prefix="weaboo")

    def trace(self, repo: str, path: str) -> object:
        """Which file it is, and when it was written."""
        found = (self.root / repo / path).stat()
        return found.st_ino, found.st_mtime_ns

    def corrupt(self, repo: str, path: str) -> None:
        """A bit turns on the disk: neither size nor time tell."""
        place = self.root / repo / path
        before = place.stat()
        with place.open("r+b") as file:
            file.seek(before.st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))

    def vanish(self, repo: str, path: str) -> None:
        """Somebody removes it."""
        (self.root / repo / path).unlink()

    @contextmanager
    def full(self) -> Iterator[Backend]:
        """No file may grow beyond 1 MiB (the kernel's answer differs from that of a full disk by its number only)."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, hard))
        try:
            yield self.backend
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextmanager
    def denied(self) -> Iterator[Backend]:
        """Nobody may read or write the folder."""
        self.root.mkdir(exist_ok=True)
        self.root.chmod(0)
        try:
            with like_an_ordinary_user():
                yield self.backend
        finally:
            self.root.chmod(0o755)

    @contextmanager
    def unreachable(self) -> Iterator[Backend]:
        """It holds copies, and is not mounted."""
        away = self.root.with_name("unmounted")
        self.root.mkdir(exist_ok=True)
        self.root.rename(away)
        self.root.mkdir()
        try:
            yield LocalBackend(self.root, prefix="weaboo", in_use=True)
        finally:
            self.root.rmdir()
            away.rename(self.root)


@contextmanager
def like_an_ordinary_user() -> Iterator[None]:
    """Permissions bind this thread, even root's."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    before = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    without = (ctypes.c_uint32 * 6)(*before)
    without[0] &= ~_IGNORES_PERMISSIONS
    assert libc.capset(header, without) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
