"""The map of a file's pieces: each byte once, in order as far as possible, nobody idle at the end."""

from __future__ import annotations

import random
import threading
import time
import zlib

import pytest

from queue_app.downloaders.pieces import Piece, PieceMap, Run, piece_bytes

MIB = 1024 * 1024
CONTENT = random.Random(1).randbytes(8 * MIB + 321)


class Disk:
    """What was written, and how often each byte was."""

    def __init__(self, size: int) -> None:
        self.content, self.times = bytearray(size), bytearray(size)

    def write(self, data: memoryview, at: int) -> None:
        end = at + len(data)
        self.content[at:end] = data
        self.times[at:end] = bytes(count + 1 for count in self.times[at:end])


def put(piece: Piece, disk: Disk, size: int) -> bool:
    at, _ = piece.rest()
    return piece.put(at, CONTENT[at : at + size], disk.write)


def test_pieces_go_out_in_order() -> None:
    pieces = PieceMap(4 * MIB + 5, MIB)
    claimed = [pieces.claim(0) for _ in range(5)]
    assert [piece.rest() for piece in claimed if piece] == [
        (0, MIB), (MIB, 2 * MIB), (2 * MIB, 3 * MIB), (3 * MIB, 4 * MIB), (4 * MIB, 4 * MIB + 5),
    ]  # fmt: skip


def test_what_was_given_back_goes_out_first_and_from_where_it_stopped() -> None:
    pieces, disk = PieceMap(4 * MIB, MIB), Disk(4 * MIB)
    first, second = pieces.claim(0), pieces.claim(0)
    assert first
    assert second
    put(first, disk, 1000)
    pieces.release(first)
    again = pieces.claim(0)
    assert again
    assert again.rest() == (1000, MIB)


def test_the_front_stops_at_the_first_hole() -> None:
    pieces, disk = PieceMap(3 * MIB, MIB), Disk(3 * MIB)
    first, second = pieces.claim(0), pieces.claim(0)
    assert first
    assert second
    put(second, disk, MIB)
    put(first, disk, 1000)
    assert pieces.front() == 1000
    put(first, disk, MIB)
    assert pieces.front() == 2 * MIB
    pieces.settle(2 * MIB)
    assert (pieces.front(), pieces.done, pieces.runs()) == (2 * MIB, 2 * MIB, [])


def test_the_slowest_piece_is_shared_out_by_speed() -> None:
    pieces, disk = PieceMap(8 * MIB, 4 * MIB), Disk(8 * MIB)
    slow, quick = pieces.claim(0), pieces.claim(0)
    assert slow
    assert quick
    put(slow, disk, MIB // 4)
    put(quick, disk, 3 * MIB)
    put(quick, disk, MIB)
    pieces.release(quick)
    stolen = pieces.claim(10)
    assert stolen
    assert stolen.rest()[1] == 4 * MIB
    assert slow.rest()[1] == stolen.rest()[0] < 3 * MIB


def test_a_short_rest_that_hangs_is_fetched_twice_and_written_once() -> None:
    pieces, disk = PieceMap(MIB, MIB), Disk(MIB)
    first = pieces.claim(0)
    assert first
    put(first, disk, MIB - 1000)
    assert pieces.claim(0.5) is None
    assert pieces.claim(10**6) is first
    assert pieces.claim(10**6) is None
    at = MIB - 1000
    assert first.put(at, CONTENT[at : at + 400], disk.write)
    assert not first.put(at, CONTENT[at : at + 1000], disk.write)
    assert not first.put(at + 400, CONTENT[at + 400 : at + 1000], disk.write)
    assert disk.content == CONTENT[:MIB]
    assert set(disk.times) == {1}
    pieces.release(first)
    pieces.release(first)
    assert pieces.complete


def test_an_answer_goes_on_into_a_piece_that_nobody_has() -> None:
    pieces, disk = PieceMap(3 * MIB, MIB), Disk(3 * MIB)
    first = pieces.claim(0)
    assert first
    put(first, disk, MIB)
    following = pieces.follow(first, 0)
    assert following
    assert following.rest() == (MIB, 2 * MIB)
    pieces.claim(0)
    assert pieces.follow(following, 0) is None


def test_nothing_is_written_after_the_end() -> None:
    pieces, disk = PieceMap(MIB, MIB), Disk(MIB)
    piece = pieces.claim(0)
    assert piece
    put(piece, disk, 1000)
    pieces.close()
    assert not put(piece, disk, 1000)
    assert (sum(disk.times), pieces.done, pieces.claim(0)) == (1000, 1000, None)
    assert pieces.runs() == [Run(0, 1000, zlib.crc32(CONTENT[:1000]))]


def test_only_what_is_missing_goes_out_after_a_restart() -> None:
    runs = [Run(0, 1500, 1), Run(MIB, MIB + 10, 2), Run(2 * MIB, 3 * MIB, 3)]
    pieces = PieceMap(4 * MIB, MIB, settled=1000, runs=runs)
    assert pieces.done == 1500 + 10 + MIB
    claimed = [pieces.claim(0) for _ in range(3)]
    assert [p.rest() for p in claimed if p] == [(1500, MIB), (MIB + 10, 2 * MIB), (3 * MIB, 4 * MIB)]
    assert pieces.runs() == [Run(0, 1500, 1), *runs[1:]]


def test_a_file_of_unknown_size_is_one_piece() -> None:
    pieces, disk = PieceMap(None, MIB), Disk(len(CONTENT))
    piece = pieces.claim(0)
    assert piece
    assert pieces.claim(10**6) is None
    put(piece, disk, len(CONTENT))
    assert not pieces.complete
    pieces.learn_total(len(CONTENT))
    assert pieces.complete


@pytest.mark.parametrize(("size", "pieces"), [(10 * MIB, MIB), (400 * MIB, 400 * MIB // 32), (10**12, 16 * MIB)])
def test_pieces_are_neither_tiny_nor_huge(size: int, pieces: int) -> None:
    assert piece_bytes(size, 8) == pieces


@pytest.mark.parametrize("seed", range(6))
def test_many_threads_write_each_byte_once(seed: int) -> None:
    pieces, disk = PieceMap(len(CONTENT), MIB), Disk(len(CONTENT))

    def fetch(chance: random.Random) -> None:
        while not pieces.complete:
            # A clock that runs wild makes them steal and double up whenever they can.
            piece = pieces.claim(time.monotonic() * 10**6)
            if piece is None:
                continue
            at, end = piece.rest()
            while at < end and chance.random() < 0.98:
                size = chance.randrange(1, 200_000)
                if not piece.put(at, CONTENT[at : at + size], disk.write):
                    break
                at += size
            pieces.release(piece)

    threads = [threading.Thread(target=fetch, args=(random.Random(seed * 10 + n),), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert disk.content == CONTENT
    assert set(disk.times) == {1}
    pieces.settle(0)
    assert all(run.crc == zlib.crc32(CONTENT[run.start : run.end]) for run in pieces.runs())


def test_no_size_below_what_is_there_is_learnt() -> None:
    pieces = PieceMap(None, 1000)
    piece = pieces.claim(0.0)
    assert piece is not None
    piece.put(0, bytes(100), lambda _data, _at: None)
    with pytest.raises(ValueError, match="100 bytes are there"):
        pieces.learn_total(99)
    pieces.learn_total(100)
    assert pieces.complete
