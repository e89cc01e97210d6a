"""Bytes of files onto sockets, at a rate for each. One timer serves all of them, which costs little processor time."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass, field

TICK_SECONDS = 0.005
_STEP_BYTES = 1024 * 1024


@dataclass(eq=False)
class _Transfer:
    """What is left of one answer."""

    connection: socket.socket
    file: int
    offset: int
    left: int
    rate: int
    ended: asyncio.Future[None]
    at: float = field(default_factory=time.monotonic)
    credit: float = 0.0

    def advance(self, now: float) -> int:
        """Send what the rate has allowed since the last time; how many bytes the socket took."""
        self.credit += self.rate * (now - self.at)
        self.at = now
        wanted = min(int(self.credit), self.left)
        try:
            sent = os.sendfile(self.connection.fileno(), self.file, self.offset, wanted) if wanted else 0
        except BlockingIOError:
            sent = 0
        self.offset, self.left, self.credit = self.offset + sent, self.left - sent, self.credit - sent
        if sent < wanted:
            # The client didn't read. What the link could have carried meanwhile is lost, not saved up for a burst.
            self.credit = min(self.credit, self.rate * TICK_SECONDS)
        return sent


class Pacer:
    """All transfers of one origin. `served` counts the bytes that sockets took."""

    def __init__(self) -> None:
        self.served = 0
        self._transfers: set[_Transfer] = set()
        self._ticking: asyncio.Task[None] | None = None

    async def send(self, connection: socket.socket, file: int, offset: int, size: int, rate: int | None) -> None:
        """Send this part of `file`. Raises OSError when the client is gone."""
        if rate is None:
            await self._send_fast(connection, file, offset, size)
        elif size:
            ended = asyncio.get_running_loop().create_future()
            self._transfers.add(_Transfer(connection, file, offset, size, rate, ended))
            if self._ticking is None or self._ticking.done():
                self._ticking = asyncio.create_task(self._tick())
            await ended

    async def _tick(self) -> None:
        while self._transfers:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for transfer in list(self._transfers):
                self._advance(transfer, now)

    def _advance(self, transfer: _Transfer, now: float) -> None:
        try:
            self.served += transfer.advance(now)
        except OSError as error:
            self._transfers.discard(transfer)
            transfer.ended.set_exception(error)
        else:
            if not transfer.left:
                self._transfers.discard(transfer)
                transfer.ended.set_result(None)

    async def _send_fast(self, connection: socket.socket, file: int, offset: int, size: int) -> None:
        end = offset + size
        while offset < end:
            try:
                sent = os.sendfile(connection.fileno(), file, offset, min(_STEP_BYTES, end - offset))
            except BlockingIOError:
                await _writable(connection)
            else:
                offset += sent
                self.served += sent


async def _writable(connection: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(connection)
