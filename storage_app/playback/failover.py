"""Bytes of a file that lies in several places: when one copy fails or is silent, the next goes on at the same byte."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from archive_site.pieces import FileSlice, Piece
from storage_app.backends.base import StorageError
from storage_app.playback import known
from storage_app.playback.copies import Copy, NoCopyLeft, Source, left_out
from storage_app.playback.failover_turns import Meter, Turns, shortfall
from storage_app.playback.ranges import ByteRange
from storage_app.playback.threads import silent

SILENT_SECONDS = 1.0
"""After so long without a byte, while the viewer waits, the next copy is opened as well; who sends first is read on."""
OPENING_SECONDS = 10.0
"""In which a copy has to send its first bytes, when there is no other."""
READING_SECONDS = 30.0
"""In which it has to send some more, when there is no other."""
PAUSED_SECONDS = 5.0
"""After a viewer has taken nothing for so long, it is no failure of a copy when its account has hung up."""
WORTH = 64 * 1024
"""Bytes after which a copy that broke off before has made up for it."""
_BEFORE_ANOTHER_TRY = 0.3


logger = logging.getLogger(__name__)


def _nobody(_copy: Copy) -> None:
    """Nobody wants to hear of it."""


@dataclass(frozen=True)
class _Opened:
    """A copy that has sent its first piece, for which was waited so many seconds."""

    number: int
    source: Source
    piece: Piece
    seconds: float


class CopyReader:
    """Reads `wanted` of a file of `size` bytes from the copies, those that have failed in the last minute last.

    `failed` is called with each copy that has failed, once in a minute; it must not wait. Use it in one event loop;
    `close` may be called from anywhere.
    """

    def __init__(
        self, copies: Sequence[Copy], size: int, wanted: ByteRange, failed: Callable[[Copy], object] = _nobody
    ) -> None:
        self._turns = Turns(sorted(copies, key=lambda copy: known.has_failed(copy.key)))
        self._size = size
        self._position = wanted.start
        self._stop = wanted.stop
        self._tell = failed
        self._now: _Opened | None = None
        self._first: Piece = b""
        self._gained = 0
        self._silent = False
        self._came = 0.0
        self._meter = Meter()
        self._rescue: asyncio.Task[_Opened] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False
        """Has everything been let go of?"""

    async def open(self) -> None:
        """Wait for the first bytes: then the answer can be begun. Raises NoCopyLeft."""
        self._loop = asyncio.get_running_loop()
        self._first = self._take(await self._race(()))

    async def pieces(self) -> AsyncIterator[Piece]:
        """All of the bytes. Raises NoCopyLeft in the middle, when every copy has failed."""
        try:
            piece, self._first = self._first, b""
            while piece:
                if isinstance(piece, bytes):
                    self._position += len(piece)
                    yield piece
                else:
                    piece.patience = self._patience()
                    yield piece
                    self._position += piece.sent
                    self._check(piece)
                piece = await self._next()
        finally:
            self.close()

    def close(self) -> None:
        """Reading is over: connections are cut and files closed. Harmless to repeat."""
        if self._loop is None or self._loop.is_closed() or self._loop is _running_loop():
            self._close()
        else:
            with suppress(RuntimeError):  # the loop was closed just now, and all with it
                self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        self.closed = True
        self._drop_rescue()
        self._let_go()

    async def _next(self) -> Piece:
        """The next piece; empty at the end."""
        while self._position < self._stop and not self.closed:
            if self._now is not None and (piece := await self._read(self._now)):
                return piece
            if not self.closed:
                return self._take(await self._rescuer() or await self._race(()))
        return b""

    async def _rescuer(self) -> _Opened | None:
        """The copy that was opened, or is just being opened, because the other one was silent."""
        try:
            return await self._rescue if self._rescue else None
        except NoCopyLeft:
            return None
        finally:
            if self._rescue and self._rescue.done():
                self._rescue = None

    async def _read(self, now: _Opened) -> Piece:
        """From the copy that is being read; empty when that has failed. It is watched: silence sends for help."""
        began = time.monotonic()
        timer = asyncio.get_running_loop().call_later(SILENT_SECONDS, self._send_for_help, now)
        try:
            piece = await now.source.read()
        except (OSError, StorageError) as error:
            if not self.closed:
                self._broke_off(now, error, began - self._came)
            return b""
        finally:
            timer.cancel()
            self._came = time.monotonic()
        self._drop_rescue()
        self._count(now.number, piece, time.monotonic() - began)
        return piece

    def _broke_off(self, now: _Opened, error: Exception, paused: float) -> None:
        if paused > PAUSED_SECONDS and not self._silent:
            logger.info("%s hung up on a viewer who paused; it is opened again.", self._turns.copies[now.number])
        else:
            self._failed(now.number, silent(SILENT_SECONDS) if self._silent else error)
        self._let_go()

    def _count(self, number: int, piece: Piece, seconds: float) -> None:
        length = len(piece) if isinstance(piece, bytes) else piece.length
        self._meter.add(length, seconds)
        if isinstance(piece, bytes):
            self._gain(number, length)

    def _gain(self, number: int, length: int) -> None:
        self._gained += length
        if self._gained >= WORTH:
            self._gained = 0
            self._turns.gained(number)

    def _patience(self) -> float:
        """Seconds in which a disk has to give the next bytes of a file."""
        others = self._now is not None and self._turns.next([self._now.number]) is not None
        return SILENT_SECONDS if others else READING_SECONDS

    def _check(self, piece: FileSlice) -> None:
        """Was all of it sent? If not, that copy has failed."""
        if self._now is None or self.closed:
            return
        self._gain(self._now.number, piece.sent)
        if not piece.whole:
            self._failed(self._now.number, shortfall(piece, self._position))
            self._let_go()

    def _send_for_help(self, now: _Opened) -> None:
        """The copy that is being read is silent: have another one opened, if there is one."""
        if self._now is not now or self.closed:
            return
        if self._turns.next([now.number]) is None:
            left = READING_SECONDS - SILENT_SECONDS
            asyncio.get_running_loop().call_later(left, self._give_up, now, self._position)
            return
        self._rescue = asyncio.create_task(self._race([now.number]))
        self._rescue.add_done_callback(lambda task: self._rescued(now, task))

    def _rescued(self, now: _Opened, task: asyncio.Task[_Opened]) -> None:
        """Another copy has sent what the silent one hasn't: whoever waits for that is woken up by its end."""
        if self._rescue is not task or self._now is not now or task.cancelled():
            return
        if task.exception() is None:
            self._silent = True
            now.source.close()
        else:
            self._rescue = None
            self._send_for_help(now)

    def _give_up(self, now: _Opened, position: int) -> None:
        if self._now is now and self._position == position:
            now.source.close()

    async def _race(self, busy: Sequence[int]) -> _Opened:
        """The first copy that sends a piece: they are opened in their turn, another one whenever it gets silent."""
        running: dict[asyncio.Task[_Opened], int] = {}
        try:
            while True:
                number = self._turns.next([*busy, *running.values()])
                if number is not None:
                    running[asyncio.create_task(self._begin(number))] = number
                if not running:
                    raise NoCopyLeft
                await asyncio.wait(running, timeout=SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if opened := self._winner(running):
                    return opened
        finally:
            for task in running:
                task.cancel()
                task.add_done_callback(_let_go)

    def _winner(self, running: dict[asyncio.Task[_Opened], int]) -> _Opened | None:
        """Of those that were begun, the first that has come. Those begun before it are silent; who failed is out."""
        for task in [task for task in running if task.done()]:
            number = running[task]
            try:
                opened = task.result()
            except (OSError, StorageError) as error:
                self._failed(number, error)
                del running[task]
                continue
            for earlier in list(running.values())[: list(running).index(task)]:
                self._failed(earlier, silent(SILENT_SECONDS))
            del running[task]
            return opened
        return None

    async def _begin(self, number: int) -> _Opened:
        copy, began = self._turns.copies[number], time.monotonic()
        if self._turns.failures(number):
            await asyncio.sleep(_BEFORE_ANOTHER_TRY)
        source: Source | None = None
        try:
            async with asyncio.timeout(min(OPENING_SECONDS, copy.patience)) as limit:
                source = await copy.open(ByteRange(self._position, self._stop), self._size)
                piece = await source.read()
        except BaseException as error:
            if source is not None:
                source.close()
            if isinstance(error, TimeoutError) and limit.expired():
                raise silent(min(OPENING_SECONDS, copy.patience)) from None
            raise
        return _Opened(number, source, piece, time.monotonic() - began)

    def _take(self, opened: _Opened) -> Piece:
        """Go on with this one, whose first piece is returned."""
        self._now, self._silent, self._gained = replace(opened, piece=b""), False, 0
        self._came = time.monotonic()
        self._count(opened.number, opened.piece, opened.seconds)
        if self.closed:
            self._let_go()
            return b""
        return opened.piece

    def _let_go(self) -> None:
        """Of the copy that was read."""
        if self._now is not None:
            self._meter.tell(self._turns.copies[self._now.number].account)
            self._now.source.close()
            self._now = None

    def _drop_rescue(self) -> None:
        rescue, self._rescue = self._rescue, None
        if rescue is not None:
            rescue.cancel()
            rescue.add_done_callback(_let_go)

    def _failed(self, number: int, error: Exception) -> None:
        copy = self._turns.copies[number]
        self._turns.failed(number, error)
        left_out(copy, error)
        if known.failed(copy.key):
            self._tell(copy)


def _let_go(task: asyncio.Task[_Opened]) -> None:
    """Of what has come although it isn't wanted any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().source.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
