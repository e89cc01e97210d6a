"""Which bytes of a file are there, which are being fetched, and which are next. No network, no disk.

Pieces go out in order, so that a hash can follow close behind. When none is left, whoever is free takes the second part
of the one that would take longest; of what is too short for that, both fetch the same bytes and the faster wins.

Every byte is claimed and written under the lock of its piece, under which pieces are cut in two as well. So a byte is
written once, and by nobody after `PieceMap.close`.
"""

from __future__ import annotations

import bisect
import statistics
import threading
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

_MIB = 1024 * 1024
_LEAST_STOLEN = _MIB // 4
_YOUNG_SECONDS = 1.0
"""A piece that was taken more recently hasn't shown how fast it is."""
_WORTH_SECONDS = 0.2
"""What is done sooner than this isn't worth another request."""
_ENDLESS = 2**62


class Run(NamedTuple):
    """Bytes from `start` to `end`, which is not included, with their CRC-32."""

    start: int
    end: int
    crc: int


def piece_bytes(size: int, connections: int) -> int:
    """How large the pieces of `size` bytes should be: each costs a round trip, and each delays the hash behind it."""
    return max(_MIB, min(16 * _MIB, size // (4 * connections)))


class Piece:
    """Bytes `start` to `end`, which is not included, of which those before `position` are written."""

    def __init__(self, start: int, end: int, position: int | None = None, crc: int = 0) -> None:
        self.start, self.end, self.crc = start, end, crc
        self.position = start if position is None else position
        self.lock = threading.Lock()
        self.readers = 0
        self._taken_at, self._taken_from = 0.0, self.position

    def rest(self) -> tuple[int, int]:
        """Where the missing bytes begin, and where they end."""
        with self.lock:
            return self.position, self.end

    @property
    def missing(self) -> int:
        """Bytes still to come."""
        return max(0, self.end - self.position)

    def put(self, at: int, data: bytes, write: Callable[[memoryview, int], None]) -> bool:
        """`write` what of `data`, which begins at byte `at`, is missing here; is more wanted after it?"""
        with self.lock:
            new = memoryview(data)[max(0, self.position - at) : max(0, self.end - at)]
            if new and at <= self.position:
                write(new, self.position)
                self.crc = zlib.crc32(new, self.crc)
                self.position += len(new)
            return self.position < self.end

    def taken(self, now: float) -> None:
        """Somebody begins to fetch what is missing, at `now` of a monotonic clock in seconds."""
        self._taken_at, self._taken_from = now, self.position

    def age(self, now: float) -> float:
        """Seconds since it was taken."""
        return now - self._taken_at

    def speed(self, now: float) -> float:
        """Bytes per second since it was taken."""
        return (self.position - self._taken_from) / max(self.age(now), 0.001)

    def seconds_left(self, now: float) -> float:
        """How long the rest will take at this speed."""
        return self.missing / max(self.speed(now), 1.0)


class PieceMap:
    """All pieces of one file. May be used from several threads at once."""

    def __init__(self, total: int | None, size: int, settled: int = 0, runs: Iterable[Run] = ()) -> None:
        """Of `total` bytes (None: unknown, then it is one piece) the first `settled` and the `runs` are there."""
        self.total, self.settled = total, settled
        self._size = size
        self._lock = threading.Lock()
        self._pieces: list[Piece] = []
        self._free: list[Piece] = []
        self._held: list[Piece] = []
        self._closed = False
        self._fresh = settled
        for run in sorted(runs):
            if run.start >= self._fresh or (run.start < settled < run.end and not self._pieces):
                self._add_free_until(run.start)
                self._pieces.append(Piece(run.start, run.end, run.end, run.crc))
                self._fresh = run.end

    @property
    def done(self) -> int:
        """How many bytes are there."""
        with self._lock:
            return self.settled + sum(p.position - max(p.start, self.settled) for p in self._pieces)

    @property
    def complete(self) -> bool:
        """Is every byte there?"""
        return self.total is not None and self.done >= self.total

    def claim(self, now: float) -> Piece | None:
        """What to fetch next: from its `position` on. `release` it afterwards. None when nothing is worth a request."""
        with self._lock:
            if self._closed:
                return None
            piece = self._next_free() or self._steal(now) or self._shared(now)
            return self._hold(piece, now) if piece else None

    def follow(self, piece: Piece, now: float) -> Piece | None:
        """The piece right behind a whole one, if nobody has begun it: the same answer may go on into it."""
        with self._lock:
            if self._closed:
                return None
            if self._free and self._free[0].start == piece.end and self._free[0].position == piece.end:
                return self._hold(self._free.pop(0), now)
            if not self._free and self._fresh == piece.end and (fresh := self._next_free()):
                return self._hold(fresh, now)
            return None

    def release(self, piece: Piece) -> None:
        """Whoever claimed it no longer fetches it; what is missing is somebody else's to claim."""
        with self._lock:
            piece.readers -= 1
            if piece.readers == 0:
                self._held.remove(piece)
                if piece.missing:
                    bisect.insort(self._free, piece, key=lambda p: p.start)

    def front(self) -> int:
        """Every byte before this one is there."""
        with self._lock:
            front = self.settled
            for piece in self._pieces:
                if piece.start > front:
                    break
                front = max(front, piece.position)
                if piece.missing:
                    break
            return front

    def settle(self, front: int) -> None:
        """The bytes before `front` have been hashed: their pieces needn't be remembered."""
        with self._lock:
            self.settled = front
            while self._pieces and self._pieces[0].end <= front and not self._pieces[0].missing:
                del self._pieces[0]

    def runs(self) -> list[Run]:
        """What is there beyond the settled front."""
        with self._lock:
            found = []
            for piece in self._pieces:
                with piece.lock:
                    if piece.position > max(piece.start, self.settled):
                        found.append(Run(piece.start, piece.position, piece.crc))
            return found

    def learn_total(self, total: int) -> None:
        """The size of a file of unknown size is known now. Raises ValueError when more of it is there already."""
        with self._lock:
            there = max((piece.position for piece in self._pieces), default=self.settled)
            if total < max(there, self.settled):
                raise ValueError(f"{there} bytes are there of a file of {total}")
            self.total, self._fresh = total, min(self._fresh, total)
            for piece in self._pieces:
                with piece.lock:
                    piece.end = max(piece.position, min(piece.end, total))

    def close(self) -> None:
        """Nothing more is claimed or written from here on."""
        with self._lock:
            self._closed = True
            for piece in {*self._pieces, *self._held}:
                with piece.lock:
                    piece.end = piece.position

    def _hold(self, piece: Piece, now: float) -> Piece:
        piece.readers += 1
        if piece.readers == 1:
            piece.taken(now)
            self._held.append(piece)
        return piece

    def _next_free(self) -> Piece | None:
        if not self._free:
            end = _ENDLESS if self.total is None else self.total
            self._add_free_until(min(end, self._fresh + (end if self.total is None else self._size)))
        return self._free.pop(0) if self._free else None

    def _add_free_until(self, end: int) -> None:
        while self._fresh < end:
            piece = Piece(self._fresh, end if self.total is None else min(end, self._fresh + self._size))
            self._pieces.append(piece)
            self._free.append(piece)
            self._fresh = piece.end

    def _steal(self, now: float) -> Piece | None:
        """The part of the longest-lasting piece that makes both end at the same time."""
        victims = [p for p in self._held if p.missing >= 2 * _LEAST_STOLEN and p.seconds_left(now) > _WORTH_SECONDS]
        if not victims or self.total is None:
            return None
        victim = max(victims, key=lambda p: p.seconds_left(now))
        typical = statistics.median(p.speed(now) for p in self._held)
        kept = 0.5 if victim.age(now) < _YOUNG_SECONDS else victim.speed(now) / max(victim.speed(now) + typical, 1.0)
        with victim.lock:
            middle = victim.position + int(victim.missing * kept)
            if victim.end - middle < _LEAST_STOLEN:
                return None
            piece = Piece(middle, victim.end)
            victim.end = middle
        bisect.insort(self._pieces, piece, key=lambda p: p.start)
        return piece

    def _shared(self, now: float) -> Piece | None:
        """A short rest that takes long, to be fetched a second time."""
        late = [
            p
            for p in self._held
            if p.readers == 1 and p.missing and p.age(now) > _YOUNG_SECONDS and p.seconds_left(now) > _YOUNG_SECONDS
        ]
        return max(late, key=lambda p: p.seconds_left(now)) if late and self.total is not None else None
