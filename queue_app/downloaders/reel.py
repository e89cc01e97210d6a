"""The files of an HLS download, one for each group of each track, and the record by which a later call goes on.

`stream.json` says which segments are in which file, and how many bytes of it, with which CRC, have reached the disk. It
is only written after they have, and replaced in one step; so whenever the process or the machine dies, the record is
true of what lies beside it, or doesn't fit it and all of it is dropped. As waiting for the disk takes long,
`stream-recent.json` says the same of what was only handed to the system, which outlives a killed process; after a
power cut its CRCs may not fit, and then the other one counts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from queue_app.downloaders.base import Downloaded, Group, Limits, ProgressSink, Subtitles, Track
from queue_app.downloaders.crew import Fetched
from queue_app.downloaders.segments import Segment

PREFIX = "stream"
"""All files of an HLS download begin so."""
_RECORD, _RECENT, _NEW_RECORD = f"{PREFIX}.json", f"{PREFIX}-recent.json", f"{PREFIX}.json.new"
_SUFFIXES = {"mpegts": ".ts", "fmp4": ".mp4"}
_READ_BYTES = 1024 * 1024
_SYNC_SHARE = 9
"""Between two syncs passes so many times the time that the last one took: a slow disk costs a tenth at most."""
_LONGEST_SECONDS = 30.0


@dataclass
class GroupMark:
    """One file of segments that belong together."""

    name: str
    container: str
    start: float | None = None
    init: list[Any] | None = None
    """`Resource.identity` of the beginning that it has."""
    duration: float = 0.0
    offset: int = 0
    crc: int = 0


@dataclass
class TrackMark:
    """One track, as far as it has come."""

    kind: str
    language: str | None
    name: str
    first: int = 0
    """Media sequence number of its first segment."""
    count: int = 0
    """Segments written."""
    digest: str = ""
    """`Segment.digest` of the last one."""
    last: list[Any] | None = None
    """`Resource.identity` of the last one."""
    groups: list[GroupMark] = field(default_factory=list)

    def begins_group(self, segment: Segment) -> bool:
        """Can't `segment` stand in the same file as the one before it?"""
        init = segment.init.identity() if segment.init else None
        return not self.groups or segment.discontinuity or self.groups[-1].init != init


@dataclass
class SubtitlesMark:
    """One file of subtitles."""

    file: str
    language: str | None
    name: str


@dataclass
class Mark:
    """What the record holds."""

    url: str
    resolution: str | None
    tracks: list[TrackMark]
    subtitles: list[SubtitlesMark] = field(default_factory=list)
    live_since: float | None = None
    """When a live stream was begun to be followed, in seconds since 1970."""
    complete: bool = False

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(group.offset for track in self.tracks for group in track.groups)


class Reel:
    """The files in `folder` and their record. A context manager; what is worth keeping is recorded at its end."""

    def __init__(self, folder: Path, limits: Limits, progress: ProgressSink) -> None:
        """Take over what an earlier call left, after reading it again: `progress` is told and may raise to stop."""
        self.folder = folder
        self.mark: Mark | None = None
        self.resumed = False
        """Are bytes of an earlier call in it?"""
        self._interval = limits.mark_seconds
        self._due = self._recent_due = 0.0
        self._files: dict[str, IO[bytes]] = {}
        self._unsaved = False
        found = [mark for mark in (_load(folder / _RECENT), _load(folder / _RECORD)) if mark]
        found.sort(key=lambda mark: (mark.complete, mark.size), reverse=True)  # a kill may have left either behind
        self.mark = next((mark for mark in found if self._holds(mark, progress)), None)
        if found and self.mark is None:
            self.remove()
        self.resumed = self.mark is not None and self.mark.size > 0

    def _holds(self, mark: Mark, progress: ProgressSink) -> bool:
        done = 0
        try:
            for group in (group for track in mark.tracks for group in track.groups):
                with (self.folder / group.name).open("r+b") as file:
                    left, crc = group.offset, 0
                    while left and (piece := file.read(min(_READ_BYTES, left))):
                        crc = zlib.crc32(piece, crc)
                        left -= len(piece)
                        done += len(piece)
                        progress(done, None)
                    if left or crc != group.crc:
                        return False
                    file.truncate(group.offset)
        except OSError:
            return False  # what the disk can't read is fetched again
        return all((self.folder / subtitles.file).is_file() for subtitles in mark.subtitles)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._save()
        except OSError:
            pass  # on a full disk the record before it is still true
        finally:
            for file in self._files.values():
                file.close()

    def begin(self, mark: Mark) -> None:
        """Forget everything and begin with `mark`."""
        self.remove()
        self.mark = mark

    def write(self, track: TrackMark, segment: Segment, fetched: Fetched, init: bytes) -> None:
        """Add a segment to its track, `init` before it where it begins a group."""
        self._unsaved = False  # what is written in part must not be recorded, should it come to an end within
        if track.begins_group(segment):
            self._end_group(track)
            track.groups.append(self._new_group(track, segment, fetched))
            self._append(track.groups[-1], init)
        group = track.groups[-1]
        while piece := fetched.file.read(_READ_BYTES):
            self._append(group, piece)
        group.duration += segment.duration
        track.digest, track.last = segment.digest(track.digest), segment.resource.identity()
        if track.count == 0:
            track.first = segment.sequence
        track.count += 1
        self._reach()

    def _new_group(self, track: TrackMark, segment: Segment, fetched: Fetched) -> GroupMark:
        assert self.mark is not None  # noqa: S101 - `begin` comes first
        number = f"{self.mark.tracks.index(track)}-{len(track.groups)}"
        init = segment.init.identity() if segment.init else None
        start = None if fetched.timestamp is None else fetched.timestamp / 90_000
        suffix = _SUFFIXES.get(fetched.kind, f".{fetched.kind}")
        return GroupMark(f"{PREFIX}-{number}{suffix}", fetched.kind, start, init)

    def _append(self, group: GroupMark, piece: bytes) -> None:
        file = self._files.get(group.name)
        if file is None:
            descriptor = os.open(self.folder / group.name, os.O_RDWR | os.O_CREAT, 0o600)
            file = self._files[group.name] = os.fdopen(descriptor, "r+b", buffering=0)
            file.truncate(group.offset)
            file.seek(group.offset)
        view = memoryview(piece)
        while view:
            view = view[file.write(view) :]
        group.crc = zlib.crc32(piece, group.crc)
        group.offset += len(piece)

    def _end_group(self, track: TrackMark) -> None:
        if track.groups and (file := self._files.pop(track.groups[-1].name, None)):
            os.fsync(file.fileno())
            file.close()

    def _reach(self) -> None:
        """From here a later call may go on. It is put on the disk at once, or soon when that has just been done."""
        assert self.mark is not None  # noqa: S101 - `begin` comes first
        started = time.monotonic()
        self._unsaved = True
        if started >= self._due:
            self._save()
        elif started >= self._recent_due:
            _store(self.folder / _RECENT, dataclasses.asdict(self.mark), sync=False)
            now = time.monotonic()
            self._recent_due = now + _SYNC_SHARE * (now - started)

    def finish(self) -> Downloaded:
        """Record that nothing is missing."""
        mark = self.mark
        assert mark is not None  # noqa: S101 - `begin` comes first
        mark.complete = self._unsaved = True  # said again if need be: a kill may have left the quicker record beside it
        self._save()
        tracks = tuple(self._track(track) for track in mark.tracks)
        main = tracks[0].groups
        plain = len(tracks) == 1 and len(main) == 1 and main[0].container in _SUFFIXES
        return Downloaded(
            path=main[0].path,
            size=mark.size,
            sha256=None,
            expected_duration=math.fsum(group.duration for group in main),
            container=main[0].container,
            resumed=self.resumed,
            tracks=() if plain else tracks,
            subtitles=tuple(Subtitles(self.folder / s.file, s.language, s.name) for s in mark.subtitles),
        )

    def _track(self, track: TrackMark) -> Track:
        groups = (Group(self.folder / g.name, g.container, g.duration, g.start) for g in track.groups)
        return Track(track.kind, tuple(groups), track.language, track.name)

    def remove(self) -> None:
        """Leave nothing of it in the folder."""
        for file in self._files.values():
            file.close()
        remove_reel(self.folder)
        self._files, self._unsaved, self.mark, self.resumed = {}, False, None, False

    def _save(self) -> None:
        if not self._unsaved or self.mark is None:
            return
        started = time.monotonic()
        for file in self._files.values():
            os.fsync(file.fileno())
        _store(self.folder / _RECORD, dataclasses.asdict(self.mark), sync=True)
        (self.folder / _RECENT).unlink(missing_ok=True)
        self._unsaved = False
        took = time.monotonic() - started
        self._due = time.monotonic() + max(self._interval, min(_SYNC_SHARE * took, _LONGEST_SECONDS))


def remove_reel(folder: Path) -> None:
    """Leave nothing of an HLS download in the folder; the records go first, for they speak of the rest."""
    for path in sorted(folder.glob(f"{PREFIX}[.-]*"), key=lambda path: path.suffix != ".json"):
        path.unlink(missing_ok=True)


def _store(path: Path, fields: dict[str, Any], *, sync: bool) -> None:
    new = path.with_name(_NEW_RECORD)
    # Its URL may hold a signature, so nobody else may read it.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"record": fields, "check": _check(fields)}, file)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    new.replace(path)


def read_mark(folder: Path) -> Mark | None:
    """The folder's record, not compared with its files; None when there is none."""
    return _load(folder / _RECORD)


def _load(path: Path) -> Mark | None:
    """None when there is no record, or it is damaged or of another release."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        fields = content["record"]
        if content["check"] != _check(fields):
            return None
        tracks = [
            TrackMark(**{**track, "groups": [GroupMark(**group) for group in track["groups"]]})
            for track in fields["tracks"]
        ]
        subtitles = [SubtitlesMark(**each) for each in fields["subtitles"]]
        return Mark(**{**fields, "tracks": tracks, "subtitles": subtitles})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _check(fields: dict[str, Any]) -> str:
    """Tells a damaged record, of which nothing (the number of segments, say) could be told otherwise."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
