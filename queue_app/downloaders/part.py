"""The file that grows during a download, and the record by which a later call goes on with it.

Beside `source.part` lies `source.resume.json`: whose bytes these are, and how many of them, with which sha256, have
reached the disk. It is only written after they have, and replaced in one step; so whenever the process or the machine
dies, the record is true of what lies beside it, or doesn't fit it and is dropped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from queue_app.downloaders.base import Downloaded, Limits, ProgressSink

_PART, _RECORD, _NEW_RECORD = "source.part", "source.resume.json", "source.resume.json.new"
_READ_BYTES = 1024 * 1024
_SYNC_SHARE = 9
"""Between two syncs passes so many times the time that the last one took: a slow disk costs a tenth at most."""
_LONGEST_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Record:
    """Whose bytes a part file holds, and how many of them may be trusted."""

    url: str
    resolution: str | None
    container: str
    name: str
    """What the file is called once it is whole."""
    etag: str = ""
    modified: str = ""
    total: int | None = None
    """Bytes of the whole file; None when the source didn't say."""
    playlist: str = ""
    """`MediaPlaylist.identity` of an HLS stream, "" for a file."""
    duration: float | None = None
    """Seconds that the playlist announces."""
    segments: int = 0
    """How many whole segments (with EXT-X-MAP) the bytes up to `offset` are."""
    offset: int = 0
    """Bytes from the beginning that are on the disk."""
    sha256: str = ""
    """In hex, of these bytes."""
    complete: bool = False

    @property
    def validator(self) -> str:
        """What If-Range may hold: a strong ETag, else the date; "" when there is neither."""
        # RFC 9110 §13.1.5: a weak ETag can't tell whether two answers are the same bytes.
        return self.etag if self.etag.startswith('"') else self.modified

    @property
    def resumable(self) -> bool:
        """Can a later call find out whether the source still has the same bytes?"""
        return bool(self.playlist or self.validator)


class Part:
    """`source.part` of a folder. Opening it drops whatever can't be proven to be what the record says.

    A context manager: on leaving, what was reached is recorded, or removed when nobody could go on from it.
    """

    def __init__(self, folder: Path, limits: Limits, progress: ProgressSink) -> None:
        """Reads what is there from its beginning to hash it; `progress` is told, and may raise to stop."""
        self.folder = folder
        self.record: Record | None = None
        self.done = 0
        self.resumed = False
        """Are bytes of an earlier call in it?"""
        self.digest = hashlib.sha256()
        self._interval = limits.mark_seconds
        self._path = folder / _PART
        self._due = 0.0
        self._saved = True
        record = _load(folder)
        if record is not None and record.complete and not self._path.exists():
            (folder / record.name).rename(self._path)
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        try:
            if record is None or not self._holds(record, progress):
                self.restart()
        except BaseException:
            self._file.close()
            raise

    def _holds(self, record: Record, progress: ProgressSink) -> bool:
        """Take over the bytes that `record` tells of, if they are there."""
        try:
            while self.done < record.offset:
                piece = self._file.read(min(_READ_BYTES, record.offset - self.done))
                if not piece:
                    return False
                self.digest.update(piece)
                self.done += len(piece)
                progress(self.done, record.total)
            self._file.truncate(record.offset)
        except OSError:
            return False  # what the disk can't read is fetched again
        self.record, self.resumed = record, record.offset > 0
        return self.digest.hexdigest() == record.sha256

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Record what was reached, or remove what nobody could go on from; nothing after `finish`."""
        try:
            if self._path.exists():
                self._save() if self._useful else self.remove()
        except OSError:
            pass  # on a full disk the record before it is still true
        finally:
            self._file.close()

    @property
    def _useful(self) -> bool:
        return self.record is not None and self.record.offset > 0 and (self.record.resumable or self.record.complete)

    @property
    def whole(self) -> Record | None:
        """The record when nothing is missing, as far as it is known."""
        record = self.record
        return record if record and (record.complete or (self.done and self.done == record.total)) else None

    def restart(self) -> None:
        """Forget everything and begin at the first byte."""
        # In this order: no moment may have new bytes under an old record.
        (self.folder / _RECORD).unlink(missing_ok=True)
        self.record, self._saved = None, True
        self._file.seek(0)
        self._file.truncate()
        self.done, self.resumed = 0, False
        self.digest = hashlib.sha256()

    def begin(self, record: Record) -> None:
        """Say whose bytes are going to be written."""
        self.record = record

    def write(self, piece: bytes | memoryview) -> int:
        """Append; returns the piece's size. They may be lost in a crash until `reach` says that they are worth it."""
        view = memoryview(piece)
        while view:
            written = self._file.write(view)
            self.digest.update(view[:written])
            self.done += written
            view = view[written:]
        return len(piece)

    def reach(self, segments: int = 0) -> None:
        """From here a later call may go on. It is put on the disk at once, or soon when that has just been done."""
        if self.record is None:
            return
        sha256 = self.digest.hexdigest()
        self.record = dataclasses.replace(self.record, offset=self.done, sha256=sha256, segments=segments)
        self._saved = not self.record.resumable
        if time.monotonic() >= self._due:
            self._save()

    def finish(self) -> Downloaded:
        """Give the whole file its name, and record that it is whole."""
        record = self.record
        assert record is not None  # noqa: S101 - `begin` comes first
        sha256 = self.digest.hexdigest()
        self.record = dataclasses.replace(record, total=self.done, offset=self.done, sha256=sha256, complete=True)
        self._saved = False
        self._save()
        path = self._path.rename(self.folder / record.name)
        return Downloaded(
            path=path,
            size=self.done,
            sha256=None if record.playlist else sha256,
            expected_duration=record.duration,
            container=record.container,
            resumed=self.resumed,
        )

    def remove(self) -> None:
        """Leave nothing in the folder."""
        self._saved = True
        for name in (_RECORD, _NEW_RECORD, _PART):
            (self.folder / name).unlink(missing_ok=True)

    def _save(self) -> None:
        if self._saved or self.record is None:
            return
        started = time.monotonic()
        os.fsync(self._file.fileno())
        _store(self.folder, self.record)
        self._saved = True
        took = time.monotonic() - started
        self._due = time.monotonic() + max(self._interval, min(_SYNC_SHARE * took, _LONGEST_SECONDS))


def _store(folder: Path, record: Record) -> None:
    fields = dataclasses.asdict(record)
    new = folder / _NEW_RECORD
    # Its URL may hold a signature, so nobody else may read it.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"record": fields, "check": _check(fields)}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / _RECORD)


def _load(folder: Path) -> Record | None:
    """The folder's record; None when there is none, or it is damaged or of another release."""
    try:
        content = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        fields = content["record"]
        return Record(**fields) if content["check"] == _check(fields) else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _check(fields: dict[str, object]) -> str:
    """Tells a damaged record, of which nothing (the number of segments, say) could be told otherwise."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
