"""Copies in folders that hang: nobody waits for them where there is another copy, and no other folder does ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from storage_app.backends.local import LocalBackend
from storage_app.playback import known
from storage_app.playback.copies import Copy, LocalCopy, find_present
from storage_app.playback.ranges import ByteRange
from storage_app.playback.threads import OPENING, pool
from tests.playing import bytes_of
from tests.servers.hanging_disk import CannotMount, HangingDisk
from tests.storage.cases import REPO, pattern

CONTENT = pattern(12_000_003)
SIZE = len(CONTENT)
GOOD = 4_000_000
DEADLINE = 60.0


class Hanging(LocalBackend):
    """A folder in which nothing can be opened until the test lets it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.free = threading.Event()

    def open_file(self, repo: str, path: str) -> BinaryIO:
        """See LocalBackend."""
        self.free.wait(DEADLINE)
        return super().open_file(repo, path)


def folder(root: Path) -> LocalBackend:
    (root / REPO).mkdir(parents=True)
    (root / REPO / "film.bin").write_bytes(CONTENT)
    return LocalBackend(root)


def copy_in(backend: LocalBackend, index: int) -> LocalCopy:
    return LocalCopy(f"Copy {index}", index, backend, REPO, "film.bin")


@pytest.fixture
def sound(tmp_path: Path) -> Copy:
    return copy_in(folder(tmp_path / "sound"), 2)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[LocalCopy]:
    folder(tmp_path / "hanging")
    backend = Hanging(tmp_path / "hanging")
    yield copy_in(backend, 1)
    backend.free.set()
    pool.cache_clear()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[HangingDisk]:
    mounted = HangingDisk(tmp_path / "disk" / REPO, CONTENT, good=GOOD)
    try:
        mounted.__enter__()
    except CannotMount as why:
        pytest.skip(f"no file system of our own: {why}")
    yield mounted
    mounted.__exit__(None, None, None)


def on(disk: HangingDisk) -> LocalCopy:
    return copy_in(LocalBackend(disk.file.parents[1]), 1)


def test_where_a_disk_hangs_in_mid_file_another_copy_goes_on(disk: HangingDisk, sound: Copy) -> None:
    copy = on(disk)

    async def play() -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await bytes_of([copy, sound], SIZE)

    assert asyncio.run(play()) == CONTENT
    assert disk.hangs.is_set()
    assert known.has_failed(copy.key)
    assert not known.has_failed(sound.key)
    disk.let_go()


def test_without_another_copy_a_disk_may_take_its_time(disk: HangingDisk) -> None:
    def come_back() -> None:
        disk.hangs.wait(DEADLINE)
        threading.Event().wait(2.0)  # longer than it would be waited for beside another copy
        disk.let_go()

    friend = threading.Thread(target=come_back)
    friend.start()
    copy = on(disk)
    assert asyncio.run(bytes_of([copy], SIZE)) == CONTENT
    friend.join()
    assert not known.has_failed(copy.key)


def test_a_folder_that_hangs_keeps_nobody_from_a_sound_copy(hanging: LocalCopy, sound: Copy) -> None:
    failed: list[Copy] = []

    async def look() -> bool:
        async with asyncio.timeout(DEADLINE):
            return await find_present([hanging, sound], SIZE, failed.append, patience=DEADLINE)

    assert asyncio.run(look())
    assert failed == []


def test_it_is_waited_for_in_vain_once_a_minute(hanging: LocalCopy, sound: Copy) -> None:
    failed: list[Copy] = []
    assert not asyncio.run(find_present([hanging], SIZE, failed.append, patience=0.1))
    assert failed == [hanging]
    assert known.has_failed(hanging.key)
    assert not asyncio.run(find_present([hanging], SIZE, failed.append, patience=0.1))
    assert asyncio.run(find_present([hanging, sound], SIZE, failed.append))
    assert failed == [hanging]


def test_however_many_ask_for_it_other_folders_are_opened(hanging: LocalCopy, sound: Copy) -> None:
    async def ask() -> bytes:
        asking = [find_present([hanging], SIZE, lambda _: None, patience=0.1) for _ in range(400)]
        assert not any(await asyncio.gather(*asking))
        async with asyncio.timeout(DEADLINE):
            source = await sound.open(ByteRange(0, 10), SIZE)
        source.close()
        return await bytes_of([sound], SIZE, ByteRange(5, 10))

    assert asyncio.run(ask()) == CONTENT[5:10]
    waiting = [thread for thread in threading.enumerate() if str(hanging.backend.root) in thread.name]
    assert 0 < len(waiting) <= OPENING


def test_a_copy_that_is_not_what_it_should_be_has_failed(sound: Copy) -> None:
    failed: list[Copy] = []
    assert not asyncio.run(find_present([sound], SIZE + 1, failed.append))
    assert failed == [sound]
