"""What every downloader takes and gives, and what it leaves behind.

A download may be called again with the folder of an unfinished one, which may have died at any instant. It goes on from
the bytes on the disk that are recorded beside them (`part`) if the source can show that it still has the same file:
by a strong ETag or Last-Modified with If-Range, or for HLS by the same playlist. Otherwise it starts again from zero.

| end                                                | left in the folder                              |
|----------------------------------------------------|-------------------------------------------------|
| success                                            | the file, and the record that it is whole       |
| a permanent failure (`Failure.permanent`)          | nothing, or what arrived with `keep_refused`    |
| any other failure, Cancelled, a crash, a power cut | what arrived, and the record of what it is      |

Whoever calls keeps everybody else out of the folder meanwhile, and decides how long it is kept.
"""

from __future__ import annotations

import errno
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from archive_site.safe_http import same_origin
from queue_app.failures import DiskFull, Failure, TooLarge
from queue_app.media.ffmpeg import Tools

ProgressSink = Callable[[int, int | None], None]
"""Called with bytes done and in all (None: unknown) for every piece that arrives, in the caller's thread.

It may raise `queue_app.failures.Cancelled`, which stops the download at once.
"""

_MIB = 1024 * 1024


@dataclass
class Progress:
    """How far a download is, in bytes. Usable as a ProgressSink that remembers."""

    bytes_done: int = 0
    bytes_total: int | None = None

    def __call__(self, bytes_done: int, bytes_total: int | None) -> None:
        self.bytes_done, self.bytes_total = bytes_done, bytes_total


@dataclass(frozen=True)
class Source:
    """What to fetch: a file, a playlist or a page, and where else the very same file may be had."""

    url: str
    resolution: str | None = None
    """Chooses among the variants of an HLS stream or a page ("720p")."""
    mirrors: tuple[str, ...] = ()
    """Further URLs of the same file."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What a page's own player would send along: Referer, User-Agent, Cookie."""
    page_url: str = ""
    """The page that `url` came from, which may give a new one when it expires; "" if there is none."""

    def headers_for(self, url: str) -> dict[str, str]:
        """Those of the headers that `url` may be sent: a foreign host gets neither cookies nor credentials."""
        if same_origin(url, self.url):
            return dict(self.headers)
        return {name: value for name, value in self.headers.items() if name.lower() not in {"cookie", "authorization"}}

    def at(self, url: str) -> Source:
        """The same file as had from `url`, one of the mirrors or the URL itself; the others are its mirrors then."""
        others = tuple(other for other in (self.url, *self.mirrors) if other != url)
        return replace(self, url=url, mirrors=others, headers=self.headers_for(url))


@dataclass(frozen=True)
class Group:
    """Consecutive segments of one track that belong together: joined in one file, from one timeline and one codec."""

    path: Path
    container: str
    """'mpegts' or 'fmp4', or that of packed audio: 'aac', 'mp3', 'ac3', 'eac3'."""
    duration: float
    """Seconds: the sum of its segments' announced durations."""
    start: float | None = None
    """Of packed audio: the time of its first sample, in seconds by the stream's own clock of 33 bits at 90 kHz."""


@dataclass(frozen=True)
class Track:
    """One rendition of a stream: the main one (video, perhaps with audio in it), or a separate audio track."""

    kind: str
    """'video' or 'audio'."""
    groups: tuple[Group, ...]
    language: str | None = None
    name: str = ""


@dataclass(frozen=True)
class Subtitles:
    """A whole WebVTT file beside the video."""

    path: Path
    language: str | None
    name: str = ""


@dataclass(frozen=True)
class Page:
    """What the page that led to a video says of it."""

    url: str
    title: str = ""
    duration: float | None = None
    """Seconds."""
    thumbnail: Path | None = None
    """An image file beside the video."""


@dataclass(frozen=True)
class Downloaded:
    """A whole file on this host, not yet proven to be a playable video."""

    path: Path
    size: int
    """Bytes."""
    sha256: str | None
    """In hex, of exactly what lies at `path`; None where it is going to be remuxed anyway."""
    expected_duration: float | None
    """Seconds, as announced by the source (the sum of a playlist's segments)."""
    container: str
    """'mp4', 'mov', 'matroska', 'webm', 'mpegts', or 'fmp4' for joined fragments."""
    resumed: bool = False
    """Are bytes of an earlier call in it?"""
    tracks: tuple[Track, ...] = ()
    """Where a stream is more than the one file at `path`: all its tracks, the main one first (its first group is that
    file); `media.join` makes one video of them. Else empty."""
    mp4: Path | None = None
    """The same stream as an MP4 file already, made while it arrived (`Limits.tools`); not recorded for a later call."""
    subtitles: tuple[Subtitles, ...] = ()
    page: Page | None = None


class Onlooker(Protocol):
    """Is told how far a single file has come from its beginning on, so that it can be read while it grows."""

    def began(self, path: Path, container: str, size: int) -> None:
        """A file that will have `size` bytes is being filled, at `path` for now. May be called again for the same."""

    def reached(self, front: int) -> None:
        """So many bytes from its beginning are there for good. Called from other threads, too, and must be quick."""

    def dropped(self) -> None:
        """It has come to nothing: what was there may be other bytes now. Not called for a file that is whole."""


@dataclass(frozen=True)
class Limits:
    """How much one download may take."""

    max_bytes: int
    connections: int = 8
    """At most so many ranges of one file at once."""
    hls_connections: int = 8
    max_segments: int = 50_000
    max_playlist_bytes: int = 16 * _MIB
    retry_wait: float = 1.0
    """Seconds before the first retry in place; doubled for each next one, with jitter."""
    mark_seconds: float = 1.0
    """What arrived is put on the disk, and recorded, so often: a crash costs the bytes of this time."""
    max_rate: int | None = None
    """Bytes per second of all downloads that share `shared` together; None: as fast as it goes."""
    host_connections: int = 16
    """Connections to one host:port at once, of all downloads that share `shared` together."""
    shared: Path | None = None
    """A folder by which the processes of one worker keep these two limits; None: this call is alone."""
    live_seconds: float = 6 * 3600
    """A live stream is followed so long at most."""
    tools: Tools | None = None
    """Puts a plain stream into an MP4 file while it arrives, `Downloaded.mp4`; None: that is left to the caller."""
    page_seconds: float = 60.0
    """Reading a page may take so long, and watching it in a browser so long again."""
    keep_refused: bool = False
    """What had arrived before a permanent failure is left too, for the caller to keep aside."""
    browser: str = ""
    """Path of a Chromium for pages that need one; "": the one on PATH, if any."""
    onlooker: Onlooker | None = None
    """Whom to tell of a direct file's growth."""


class Retries:
    """A small number of retries in place, with growing, jittered waits."""

    def __init__(self, limits: Limits, count: int = 3) -> None:
        self._left = count
        self._wait = limits.retry_wait

    def use(self, failure: Failure, before_wait: Callable[[], None] = lambda: None) -> None:
        """Wait and use one up; raise `failure` when none is left or none can help."""
        if self._left == 0 or failure.permanent:
            raise failure
        self._left -= 1
        before_wait()
        time.sleep(self._wait * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, keeps no secret
        self._wait *= 2


def check_size(size: int, limits: Limits) -> None:
    """Raise TooLarge when `size` bytes are more than the operator allows."""
    if size > limits.max_bytes:
        allowed = f"{limits.max_bytes / _MIB:,.0f} MiB"
        raise TooLarge(f"The source is larger than the {allowed} that are allowed for one video.")


def check_room(folder: Path, size: int) -> None:
    """Raise DiskFull when `folder`'s disk hasn't room for `size` bytes more."""
    free = shutil.disk_usage(folder).free
    if size > free:
        needed, left = f"{size / _MIB:,.0f} MiB", f"{free / _MIB:,.0f} MiB"
        raise DiskFull(f"The download needs {needed}, but this host has {left} left.")


def is_full_disk(error: OSError) -> bool:
    """Is it one of the system's "no room" errors?"""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def full_disk_as_failure() -> Iterator[None]:
    """Turn the system's "no room" errors into DiskFull."""
    try:
        yield
    except OSError as error:
        if is_full_disk(error):
            raise DiskFull("This host's disk became full during the download.") from error
        raise
