"""Copies of a file, and how a viewer's bytes are read from one of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from archive_site.addresses import FetchError
from archive_site.pieces import FileSlice, Piece
from storage_app.backends.base import ContentMismatchError, StorageError
from storage_app.backends.local import LocalBackend
from storage_app.playback import known
from storage_app.playback.ranges import ByteRange
from storage_app.playback.threads import in_time, of_folder, silent

SLICE_BYTES = 8 * 1024 * 1024
"""That are sent of a file on this host before somebody looks whether all is well."""
ANSWER_SECONDS = 8.0
"""For which a player waits for the first bytes of a copy, where there is no other; uploads wait for STORAGE_TIMEOUT."""
WHOLE_SECONDS = 30.0
"""In which an account has to send a small file that is wanted as a whole."""

logger = logging.getLogger(__name__)


class NoCopyLeft(FetchError):
    """No copy can be read: each is missing, has the wrong size or fails. In the middle of an answer it ends that short,
    so that nobody takes it for whole."""


class Source(Protocol):
    """An open copy. All of it belongs to the event loop."""

    async def read(self) -> Piece:
        """The next piece, of those that are wanted; never empty. Raises StorageError and OSError."""

    def close(self) -> None:
        """Let go of it, also while somebody waits for a piece, who then gets an error. Harmless to repeat."""


class Copy(Protocol):
    """One copy of a file, on the account with this index. `str()` of it names it to operators."""

    @property
    def index(self) -> int:
        """Of its account."""

    @property
    def key(self) -> Hashable:
        """The same for the same copy."""

    @property
    def account(self) -> Hashable:
        """The same for all copies on the same account."""

    @property
    def patience(self) -> float:
        """Seconds in which it has to send its first bytes."""

    async def require(self, size: int) -> None:
        """Raises StorageError and OSError unless it seems to be there with `size` bytes, as far as this host can tell
        without connecting to anybody."""

    async def open(self, wanted: ByteRange, size: int) -> Source:
        """These bytes of it. Raises StorageError, also when it hasn't `size` bytes in all, and OSError."""

    def whole(self, size: int) -> bytes:
        """All of it, for the admin's pages; waits. Raises as `open` does."""


@dataclass(frozen=True)
class LocalCopy:
    """A copy in a folder of this host."""

    name: str
    index: int
    backend: LocalBackend
    repo: str
    path: str

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> Hashable:
        """See Copy.key."""
        return self.backend.root, self.repo, self.path

    @property
    def account(self) -> Hashable:
        """See Copy.account."""
        return self.backend.root

    @property
    def patience(self) -> float:
        """See Copy.patience."""
        return ANSWER_SECONDS

    async def require(self, size: int) -> None:
        """See Copy.require."""
        (await self._opened(size)).close()

    async def open(self, wanted: ByteRange, size: int) -> Source:
        """See Copy.open."""
        return LocalSource(await self._opened(size), wanted)

    def whole(self, size: int) -> bytes:
        """See Copy.whole."""
        return in_time(WHOLE_SECONDS, self._read, size)

    async def _opened(self, size: int) -> BinaryIO:
        """A folder that hangs holds up a thread of its own, not the event loop."""
        opening = of_folder(self.backend.root).submit(self._file, size)
        try:
            return await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            opening.cancel()
            opening.add_done_callback(_close_late)
            raise

    def _read(self, size: int) -> bytes:
        with self._file(size) as file:
            return file.read()

    def _file(self, size: int) -> BinaryIO:
        file = self.backend.open_file(self.repo, self.path)
        found = os.fstat(file.fileno()).st_size
        if found != size:
            file.close()
            raise ContentMismatchError(f"It has {found} bytes, not {size}.")
        return file


class LocalSource:
    """An open file, in slices that the web server sends by itself where it can."""

    def __init__(self, file: BinaryIO, wanted: ByteRange) -> None:
        self._file = file
        self._position = wanted.start
        self._stop = wanted.stop

    async def read(self) -> Piece:
        """See Source.read."""
        length = min(SLICE_BYTES, self._stop - self._position)
        piece = FileSlice(self._file, self._position, length)
        self._position += length
        return piece

    def close(self) -> None:
        """See Source.close."""
        self._file.close()


async def find_present(
    copies: Sequence[Copy], size: int, failed: Callable[[Copy], object], *, patience: float = ANSWER_SECONDS
) -> bool:
    """Is there a copy that can be opened, as far as this host can tell without connecting to anybody?

    All are looked at side by side, each for `patience` seconds at most; those that have failed in the last minute only
    when there is no other. `failed` is called with each that fails now, once in a minute; it must not wait.
    """
    sound = [copy for copy in copies if not known.has_failed(copy.key)]
    others = [copy for copy in copies if copy not in sound]
    for some in (sound, others):
        looking = [asyncio.create_task(_is_present(copy, size, failed, patience)) for copy in some]
        try:
            for look in asyncio.as_completed(looking):
                if await look:
                    return True
        finally:
            for task in looking:
                task.cancel()
    return False


async def _is_present(copy: Copy, size: int, failed: Callable[[Copy], object], patience: float) -> bool:
    try:
        async with asyncio.timeout(patience) as limit:
            await copy.require(size)
    except (OSError, StorageError) as error:
        left_out(copy, silent(patience) if limit.expired() else error)
        if known.failed(copy.key):
            failed(copy)
        return False
    return True


def whole(copies: Sequence[Copy], size: int) -> bytes:
    """All bytes of a small file, from the first copy that gives them. Waits for that. Raises NoCopyLeft."""
    for copy in copies:
        try:
            content = copy.whole(size)
        except (OSError, StorageError) as error:
            left_out(copy, error)
            continue
        if len(content) == size:
            return content
        logger.warning("%s gave %d bytes of %d.", copy, len(content), size)
    raise NoCopyLeft


def left_out(copy: Copy, error: Exception) -> None:
    """Tell operators of a copy that can't be used."""
    logger.warning("%s is left out: %s Its account needs a look.", copy, error)


def _close_late(opening: Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
