"""A file system that hangs: one file, whose bytes beyond some place nobody gets until the test says so.

It speaks the kernel's FUSE protocol (linux/fuse.h, 7.31), as far as reading one file needs it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _RELEASE, _FLUSH, _INIT, _INTERRUPT = 1, 2, 3, 14, 15, 18, 25, 26, 36
_ROOT, _FILE = 1, 2
_KEEP_CACHE = 2  # else opening waits for those who read


class CannotMount(Exception):
    """Not with the rights, or on the kernel, of this machine."""


class HangingDisk:
    """`with HangingDisk(folder, content, good) as disk:`: `disk.file` holds `content`, of which `good` bytes come.

    Reading what lies beyond waits for `let_go()`. The mount is gone at the end of the block, whoever still waits.
    """

    def __init__(self, folder: Path, content: bytes, good: int) -> None:
        self._folder = folder
        self._content = content
        self._good = good
        self._held: list[tuple[int, int, int]] = []
        self._free = False
        self._lock = threading.Lock()
        self.hangs = threading.Event()
        """Does somebody wait?"""
        self.file = folder / "film.bin"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise CannotMount(str(error)) from error
        options = f"fd={self._device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()},allow_other"
        if _LIBC.mount(b"hanging", os.fsencode(self._folder), b"fuse", 0, options.encode()):
            os.close(self._device)
            raise CannotMount(os.strerror(ctypes.get_errno()))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        _LIBC.umount2(os.fsencode(self._folder), _MNT_DETACH)

    def let_go(self) -> None:
        """From now on everything can be read."""
        with self._lock:
            held, self._held, self._free = self._held, [], True
        for unique, start, size in held:
            self._reply(unique, self._content[start : start + size])

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 20)
            except InterruptedError:
                continue
            except OSError:  # unmounted
                os.close(self._device)
                return
            _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            self._answer(opcode, unique, node, request[40:])

    def _answer(self, opcode: int, unique: int, node: int, body: bytes) -> None:
        if opcode in {_FORGET, _INTERRUPT}:
            return
        if opcode == _INIT:
            self._reply(unique, struct.pack("<IIIIHHIIHHI7I", 7, 31, 131072, 0, 16, 12, 131072, 1, 0, 0, 0, *[0] * 7))
        elif opcode == _LOOKUP and body.rstrip(b"\0") == self.file.name.encode():
            self._reply(unique, struct.pack("<QQQQII", _FILE, 0, 3600, 3600, 0, 0) + self._attributes(_FILE))
        elif opcode == _GETATTR:
            self._reply(unique, struct.pack("<QII", 3600, 0, 0) + self._attributes(node))
        elif opcode == _OPEN:
            self._reply(unique, struct.pack("<QII", 1, _KEEP_CACHE, 0))
        elif opcode == _READ:
            _, start, size = struct.unpack_from("<QQI", body)
            self._read(unique, start, size)
        elif opcode in {_RELEASE, _FLUSH}:
            self._reply(unique)
        else:
            self._reply(unique, error=errno.ENOENT if opcode == _LOOKUP else errno.ENOSYS)

    def _read(self, unique: int, start: int, size: int) -> None:
        with self._lock:
            hangs = not self._free and start + size > self._good
            if hangs:
                self._held.append((unique, start, size))
        if hangs:
            self.hangs.set()
        else:
            self._reply(unique, self._content[start : start + size])

    def _attributes(self, node: int) -> bytes:
        mode, size = (0o40755, 0) if node == _ROOT else (0o100644, len(self._content))
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _reply(self, unique: int, data: bytes = b"", error: int = 0) -> None:
        try:
            os.write(self._device, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)
        except FileNotFoundError:
            return  # who asked was interrupted
