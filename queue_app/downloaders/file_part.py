"""The file that is filled during a download, its hash, and its record on the disk.

A thread of its own reads back what has arrived without a gap from the beginning, which the page cache still holds, and
hashes it; and from time to time it puts what arrived on the disk and then records it. Beyond the hash's position each
piece has a CRC-32. Whoever opens the part again checks both, and what doesn't agree is fetched again.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import hashlib
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from queue_app.downloaders import file_record
from queue_app.downloaders.base import Downloaded, Limits, ProgressSink, check_room
from queue_app.downloaders.file_record import Record
from queue_app.downloaders.pieces import PieceMap, Run, piece_bytes

_READ_BYTES = 1024 * 1024
_KEEPER_SECONDS = 0.05
_SYNC_SHARE = 9
"""Between two syncs passes so many times the time that the last one took: a slow disk costs a tenth at most."""
_LONGEST_SECONDS = 30.0
_libc = ctypes.CDLL(None, use_errno=True)


class FilePart:
    """`direct.part` of a folder. A context manager: on leaving, what was reached is recorded, or removed when nobody
    could go on from it; and nobody writes to it any more.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.record: Record | None = None
        self.map = PieceMap(0, 1)
        self.resumed = False
        """Are bytes of an earlier call in it?"""
        self._limits = limits
        self._path = folder / file_record.PART
        self._file = -1
        self._digest = hashlib.sha256()
        self._keeper: threading.Thread | None = None
        self._kick, self._stopped, self._kept = threading.Event(), threading.Event(), threading.Event()
        self._trouble: Exception | None = None
        self._due = 0.0
        self._saved: Record | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take_over(self, record: Record, progress: ProgressSink) -> bool:
        """Use the bytes that `record` tells of, if they are there: all before the front or none, each run for itself.

        `progress` is told while they are read, and may raise to stop.
        """
        if record.complete and not self._path.exists():
            named = self.folder / record.name
            if not named.exists():
                return False
            named.rename(self._path)
        try:
            self._open()
            if not self._hash_front(record, progress):
                return False
            runs = [run for run in record.runs if self._holds(run, record, progress)]
        except OSError:
            return False  # what the disk can't read is fetched again
        except BaseException:
            self._close_file()  # so that `close` leaves everything as it is
            raise
        self._set(record, runs)
        self.resumed = self.map.done > 0
        return True

    def begin(self, record: Record) -> None:
        """Forget everything; the bytes of `record`'s file are going to be written. Raises DiskFull."""
        self._end_keeper()
        self.map.close()
        self._drop()
        self._close_file()
        file_record.remove(self.folder)
        self._saved, self.resumed = None, False
        self._digest = hashlib.sha256()
        self._open()
        self._set(record, [])
        self.reserve()

    def reserve(self) -> None:
        """Have the file system set aside what is missing, so that no other download takes it. Raises DiskFull."""
        total = self.map.total
        if not total:
            return
        check_room(self.folder, total - min(total, os.fstat(self._file).st_blocks * 512))
        _allocate(self._file, total)
        if self._limits.onlooker is not None and self.record is not None:
            self._limits.onlooker.began(self._path, self.record.container, total)
            self._limits.onlooker.reached(self.map.settled)

    def start(self) -> None:
        """Begin to hash and to record what arrives, until `finish` or `close`."""
        if self._keeper is None:
            self._stopped.clear()
            self._kept.clear()
            self._keeper = threading.Thread(target=self._keep, name="direct-keeper", daemon=True)
            self._keeper.start()

    def write(self, data: memoryview, at: int) -> None:
        """Put `data` at byte `at`; only for `Piece.put`, whose lock keeps everybody else away from there."""
        while data:
            written = os.pwrite(self._file, data, at)
            data, at = data[written:], at + written

    def read(self, at: int, size: int) -> bytes:
        """What lies there: for bytes of which the map says that they are written."""
        return os.pread(self._file, size, at)

    def check(self) -> None:
        """Raise what went wrong with the disk in the background."""
        if self._trouble is not None:
            raise self._trouble

    def hashed(self, seconds: float) -> bool:
        """Is the complete file hashed? Waits up to so many seconds for it."""
        self._kick.set()
        if not self._all_hashed():
            time.sleep(min(seconds, _KEEPER_SECONDS / 5))
        self.check()
        return self._all_hashed()

    def finish(self) -> Downloaded:
        """Give the complete, hashed file its name, and record that it is whole."""
        record, size = self.record, self.map.total
        assert record is not None and size is not None  # noqa: S101, PT018 - `begin` comes first
        self._end_keeper()
        sha256 = self._digest.hexdigest()
        os.ftruncate(self._file, size)
        self.record = dataclasses.replace(record, total=size, front=size, sha256=sha256, runs=(), complete=True)
        self._save([])
        path = self._path.rename(self.folder / record.name)
        return Downloaded(
            path=path,
            size=size,
            sha256=sha256,
            expected_duration=None,
            container=record.container,
            resumed=self.resumed,
        )

    def remove(self) -> None:
        """Leave nothing in the folder: what is there is damaged."""
        self._end_keeper()
        file_record.remove(self.folder)

    def close(self) -> None:
        """Record what was reached, or remove what nobody could go on from; nothing after `finish`."""
        try:
            self._close()
        except BaseException:
            self._close()  # a signal interrupts once; threads must be kept from the file all the same
            raise

    def _close(self) -> None:
        self.map.close()
        self._end_keeper()
        if self.record is None or not self.record.complete:
            self._drop()
        try:
            if self._file >= 0 and self._path.exists():
                self._hash_on()
                if not self._save(self.map.runs()):
                    file_record.remove(self.folder)
        except OSError:
            pass  # on a full disk the record before it is still true
        finally:
            self._close_file()

    def _drop(self) -> None:
        if self._limits.onlooker is not None:
            self._limits.onlooker.dropped()

    def _set(self, record: Record, runs: list[Run]) -> None:
        missing = (record.total or 0) - record.front - sum(run.end - run.start for run in runs)
        size = piece_bytes(max(0, missing), self._limits.connections)
        self.record, self.map = record, PieceMap(record.total, size, record.front, runs)

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _close_file(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _hash_front(self, record: Record, progress: ProgressSink) -> bool:
        done = 0
        while done < record.front:
            data = self.read(done, min(_READ_BYTES, record.front - done))
            if not data:
                return False
            self._digest.update(data)
            done += len(data)
            progress(done, record.total)
        return self._digest.hexdigest() == record.sha256

    def _holds(self, run: Run, record: Record, progress: ProgressSink) -> bool:
        at, crc = run.start, 0
        while at < run.end:
            data = self.read(at, min(_READ_BYTES, run.end - at))
            if not data:
                return False
            crc, at = zlib.crc32(data, crc), at + len(data)
            progress(record.front, record.total)
        return crc == run.crc

    def _keep(self) -> None:
        try:
            while not self._stopped.is_set():
                self._kick.wait(_KEEPER_SECONDS)
                self._kick.clear()
                self._hash_on(self._stopped.is_set)
                if time.monotonic() >= self._due:
                    self._save(self.map.runs())
        except Exception as error:  # noqa: BLE001 - `check` raises it in the caller's thread
            self._trouble = error
        finally:
            self._kept.set()

    def _all_hashed(self) -> bool:
        return self.map.total is not None and self.map.settled >= self.map.total

    def _hash_on(self, stop: Callable[[], bool] = lambda: False) -> None:
        front, at = self.map.front(), self.map.settled
        while at < front and not stop():
            data = self.read(at, min(_READ_BYTES, front - at))
            if not data:
                raise OSError(errno.EIO, "bytes that were written can't be read")
            self._digest.update(data)
            at += len(data)
            self.map.settle(at)
            if self._limits.onlooker is not None:
                self._limits.onlooker.reached(at)

    def _end_keeper(self) -> None:
        self._stopped.set()
        self._kick.set()
        if self._keeper is not None:
            # Not `join`: interrupted by a signal's exception, it calls a thread dead that still runs (3.11).
            if self._keeper.ident is not None:
                self._kept.wait()
            self._keeper = None

    def _save(self, runs: list[Run]) -> bool:
        """Put on the disk what is there, then say so; False when nobody could go on from it.

        The `runs` must have been asked for before this call.
        """
        record = self.record
        if record is not None and not record.complete:
            front, sha256 = self.map.settled, self._digest.hexdigest()
            record = dataclasses.replace(record, total=self.map.total, front=front, sha256=sha256, runs=tuple(runs))
        if record is None or not record.useful:
            return False
        if record != self._saved:
            started = time.monotonic()
            os.fsync(self._file)
            record.store(self.folder)
            self._saved = record
            took = time.monotonic() - started
            self._due = time.monotonic() + max(self._limits.mark_seconds, min(_SYNC_SHARE * took, _LONGEST_SECONDS))
        return True


def _allocate(file: int, size: int) -> None:
    """Reserve `size` bytes where the file system can. Raises OSError (ENOSPC, EDQUOT)."""
    # fallocate(2) itself: posix_fallocate(3) would write to every block where the file system can't reserve.
    number = errno.EINTR
    while number == errno.EINTR:
        if _libc.fallocate(file, 0, ctypes.c_int64(0), ctypes.c_int64(size)) == 0:
            return
        number = ctypes.get_errno()
    if number in {errno.ENOSPC, errno.EDQUOT}:
        raise OSError(number, os.strerror(number))
    os.ftruncate(file, size)
