"""How many connections one host gets: a cap that the processes of one worker keep together."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from queue_app.downloaders.base import Limits

_FILE = "connections"
_PORTS = {"http": 80, "https": 443}
_BYTES_PER_HOST = 4096
"""Each host has so many bytes of the file, far beyond its end, that stand for slots; the second half for a queue."""
_QUEUE = _BYTES_PER_HOST // 2
_POLL_SECONDS = 0.1
_NEVER = threading.Event()


class Slot:
    """The right to one connection, until it is closed. The kernel frees those of a process that died."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give it back; harmless to repeat."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        """For whoever was interrupted before it could be handed on."""
        # By a name of its own: while the interpreter ends, the module's may be gone. Nobody else has this object now.
        descriptor, self._descriptor = getattr(self, "_descriptor", -1), -1
        if descriptor >= 0:
            close(descriptor)


class Connections:
    """Slots for connections, `limits.host_connections` for each host:port, over all who share `limits.shared`.

    A slot is a lock on one byte of a file by an open file description (fcntl(2), F_OFD_SETLK), which nothing has to
    clean up. With `limits.shared` None only this object's callers are counted. May be called from several threads.
    """

    def __init__(self, limits: Limits) -> None:
        self._count = max(1, min(limits.host_connections, _QUEUE))
        if limits.shared is None:
            # In memory, so that a killed process leaves nothing behind; to be opened by its path like any other.
            self._own = os.fdopen(os.memfd_create(_FILE), "r+b")
            self._path = Path(f"/proc/self/fd/{self._own.fileno()}")
        else:
            limits.shared.mkdir(parents=True, exist_ok=True)
            self._path = limits.shared / _FILE

    @contextmanager
    def slot(self, url: str, stopped: threading.Event = _NEVER) -> Iterator[bool]:
        """Wait for a slot of `url`'s host and hold it for the block; False without one when `stopped` is set."""
        slot = self.wait(url, stopped)
        try:
            yield slot is not None
        finally:
            if slot is not None:
                slot.close()

    def wait(self, url: str, stopped: threading.Event = _NEVER) -> Slot | None:
        """A slot of `url`'s host as soon as there is one; None when `stopped` is set before."""
        first, waiting = self.try_slot(url), None
        try:
            while first is None and not stopped.is_set():
                if waiting is None:
                    waiting = self._lock_one(_first_byte(url) + _QUEUE, _QUEUE)
                stopped.wait(_POLL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
                first = self.try_slot(url)
        finally:
            if waiting is not None:
                waiting.close()
        return first

    def try_slot(self, url: str) -> Slot | None:
        """A slot of `url`'s host if one is free now."""
        return self._lock_one(_first_byte(url), self._count)

    def wanted(self, url: str) -> bool:
        """Does anybody wait for a slot of `url`'s host? Whoever has several should then give one back soon."""
        descriptor = self._open()
        try:
            found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, _first_byte(url) + _QUEUE, _QUEUE))
        finally:
            os.close(descriptor)
        return bool(struct.unpack("hhqqi", found[: struct.calcsize("hhqqi")])[0] != fcntl.F_UNLCK)

    def _lock_one(self, start: int, count: int) -> Slot | None:
        """The first of these bytes that nobody has locked, as a slot."""
        descriptor = self._open()
        # Made before anything is locked: whatever interrupts this, the lock goes with it.
        slot = Slot(descriptor)
        for byte in range(start, start + count):
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, byte, 1))
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EACCES}:
                    slot.close()
                    raise
            else:
                return slot
        slot.close()
        return None

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _first_byte(url: str) -> int:
    """Where the host's bytes begin. Two hosts in one place, one in 2⁴⁸, would only share their slots."""
    try:
        parts = urlsplit(url)
        host = f"{(parts.hostname or '').rstrip('.')}:{parts.port or _PORTS.get(parts.scheme, 0)}"
    except ValueError:
        host = url  # malformed: nobody will connect to it
    return int.from_bytes(hashlib.sha256(host.encode()).digest()[:6], "big") * _BYTES_PER_HOST


def _flock(kind: int, start: int, length: int) -> bytes:
    return struct.pack("hhqqi", kind, os.SEEK_SET, start, length, 0)
