"""A folder as a storage account, when things go wrong: processes that are killed, disks that are full or read-only."""

from __future__ import annotations

import functools
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage_app.backends.base import (
    FileTooLargeError,
    FileToPut,
    ObjectMissingError,
    StorageError,
    StorageUnavailableError,
)
from storage_app.backends.local import LocalBackend
from tests.storage.cases import PATH, REPO, Desk, Growing, pattern

CONTENT = pattern(5_000_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()

PUT = """
import hashlib, os, signal, sys
from pathlib import Path
from storage_app.backends.base import FileToPut
from storage_app.backends.local import LocalBackend

root, source, die_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
content = source.read_bytes()

def progress(done):
    if die_at and done >= die_at:
        os.kill(os.getpid(), signal.SIGKILL)

file = FileToPut(source, "weaboo-55825", sys.argv[4], hashlib.sha256(content).hexdigest(), len(content))
try:
    LocalBackend(root, prefix="weaboo").put([file], progress)
except Exception as error:
    print(type(error).__name__, error)
else:
    print("stored")
"""
ON_A_DISK_OF_ITS_OWN = """
mount -t tmpfs -o size=3m none "$1" && mkdir -p "$1/weaboo-55825" && mount -o "remount,$2" "$1" || exit 9
shift 2; exec "$@"
"""
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def put_elsewhere(root: Path, source: Path, die_at: int = 0, path: str = PATH) -> subprocess.Popen[str]:
    """A process that puts this file, and kills itself once so many bytes are there."""
    command = [sys.executable, "-c", PUT, str(root), str(source), str(die_at), path]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


@functools.cache
def may_mount() -> bool:
    command = [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, check=False).returncode == 0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "account"


@pytest.fixture
def backend(root: Path) -> LocalBackend:
    return LocalBackend(root, prefix="weaboo")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk")


@pytest.fixture
def file(desk: Desk) -> FileToPut:
    return desk.file(CONTENT)


def put(backend: LocalBackend, file: FileToPut) -> None:
    backend.put([file], lambda _: None)


def everything_in(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def content_of(backend: LocalBackend, path: str = PATH) -> bytes:
    return b"".join(backend.open(REPO, path))


# --- Killed, and at the same time ---


@pytest.mark.parametrize("die_at", [1, 2_500_000, len(CONTENT)])
def test_a_put_that_is_killed_shows_nothing_half_and_the_next_one_succeeds(
    backend: LocalBackend, file: FileToPut, die_at: int
) -> None:
    assert put_elsewhere(backend.root, file.source, die_at).wait(60) == -signal.SIGKILL
    assert list(backend.list()) == []
    with pytest.raises(ObjectMissingError):
        backend.stat(REPO, PATH)
    left = [path.stat().st_ino for path in backend.root.rglob("*.part")]
    put(backend, file)
    assert content_of(backend) == CONTENT
    assert [backend.local_path(REPO, PATH).stat().st_ino] == left  # it went on with what was there
    assert everything_in(backend.root) == [f"{REPO}/{PATH}"]


def test_what_a_killed_put_left_is_no_use_for_another_content(backend: LocalBackend, desk: Desk) -> None:
    put_elsewhere(backend.root, desk.file(pattern(6_000_000, "other")).source, 4_500_000).wait(60)
    put(backend, desk.file(CONTENT))
    assert content_of(backend) == CONTENT
    assert everything_in(backend.root) == [f"{REPO}/{PATH}"]


def test_a_part_with_a_turned_byte_is_begun_again(backend: LocalBackend, file: FileToPut) -> None:
    put_elsewhere(backend.root, file.source, 4_500_000).wait(60)
    [part] = backend.root.rglob("*.part")
    with part.open("r+b") as damaged:
        damaged.write(bytes([CONTENT[0] ^ 1]))
    put(backend, file)
    assert content_of(backend) == CONTENT


def test_two_processes_may_put_the_same_file_at_the_same_time(backend: LocalBackend, file: FileToPut) -> None:
    for _ in range(3):
        processes = [put_elsewhere(backend.root, file.source) for _ in range(2)]
        assert [process.communicate(timeout=60)[0] for process in processes] == ["stored\n"] * 2
        assert content_of(backend) == CONTENT
        assert everything_in(backend.root) == [f"{REPO}/{PATH}"]
        backend.delete(REPO, PATH)


def test_a_suspended_put_cannot_take_the_place_of_a_later_one(
    backend: LocalBackend, desk: Desk, file: FileToPut
) -> None:
    later = desk.file(pattern(1_000_000, "later"))

    def overtake(_done: int) -> None:
        put(backend, later)

    with pytest.raises(StorageUnavailableError, match="came between"):
        backend.put([file], overtake)
    assert content_of(backend) == later.source.read_bytes()
    assert everything_in(backend.root) == [f"{REPO}/{PATH}"]


def test_deleting_and_putting_in_one_folder_do_not_disturb_each_other(backend: LocalBackend, desk: Desk) -> None:
    process = put_elsewhere(backend.root, desk.file(CONTENT).source, path="1/ep1/a.mp4")
    small = desk.file(b"small", "1/ep1/b.mp4")
    while process.poll() is None:
        put(backend, small)
        backend.delete(REPO, "1/ep1/b.mp4")
    assert process.communicate()[0] == "stored\n"
    assert everything_in(backend.root) == [f"{REPO}/1/ep1/a.mp4"]


def test_one_folder_may_come_and_go_while_many_put_and_delete_in_it(backend: LocalBackend, desk: Desk) -> None:
    files = [desk.file(b"small", f"1/ep1/{name}.mp4") for name in "abcd"]

    def come_and_go(file: FileToPut) -> None:
        for _ in range(300):
            put(backend, file)
            backend.delete(REPO, file.path)

    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(come_and_go, files))
    assert not everything_in(backend.root)


# --- Disks ---


def on_a_disk(options: str, root: Path, source: Path) -> str:
    """What a put says on a disk of 3 MB with these mount options, in a namespace where anybody may mount."""
    if not may_mount():
        pytest.skip("needs a namespace in which a small disk can be mounted")
    root.mkdir()
    mount = ["sh", "-c", ON_A_DISK_OF_ITS_OWN, "sh", str(root), options]
    command = [*NAMESPACE, *mount, sys.executable, "-c", PUT, str(root), str(source), "0", PATH]
    here = Path(__file__).parents[2]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=here, timeout=60).stdout


def test_a_full_disk_is_said_to_be_full(root: Path, file: FileToPut) -> None:
    said = on_a_disk("rw", root, file.source)
    assert said.startswith("StorageFullError")
    assert "Free some space" in said


def test_a_file_beyond_the_limit_of_the_disk_is_too_large(backend: LocalBackend, file: FileToPut) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, hard))
    try:
        with pytest.raises(FileTooLargeError, match="no file as large"):
            put(backend, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_just_fits_is_stored(root: Path, desk: Desk) -> None:
    assert on_a_disk("rw", root, desk.file(CONTENT[:2_500_000]).source) == "stored\n"


def test_a_read_only_disk_is_said_to_refuse(root: Path, file: FileToPut) -> None:
    said = on_a_disk("ro", root, file.source)
    assert said.startswith("StorageAuthError")
    assert "Read-only" in said


@pytest.fixture
def reflinks(tmp_path: Path) -> Iterator[Path]:
    """An XFS of its own, which knows reflinks; for root alone, and where the host can mount images."""
    mkfs, place = shutil.which("mkfs.xfs"), tmp_path / "xfs"
    if mkfs is None or os.geteuid() != 0:
        pytest.skip("needs root and mkfs.xfs")
    image = tmp_path / "image"
    with image.open("wb") as empty:
        empty.truncate(512 * 1024 * 1024)
    subprocess.run([mkfs, "-q", "-m", "reflink=1", str(image)], check=True)
    place.mkdir()
    if subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=False).returncode:
        pytest.skip("this host mounts no XFS images")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_on_a_disk_with_reflinks_no_block_is_written_twice(reflinks: Path) -> None:
    source, backend = reflinks / "source", LocalBackend(reflinks / "account")
    content = pattern(20_000_000)
    source.write_bytes(content)
    os.sync()
    free = backend.capacity().free
    put(backend, FileToPut(source, REPO, PATH, hashlib.sha256(content).hexdigest(), len(content)))
    with source.open("r+b") as file:
        file.write(b"somebody writes to the scratch file later")
    assert content_of(backend) == content
    after = backend.capacity().free
    assert free is not None
    assert after is not None
    assert free - after < 5_000_000


# --- Not mounted ---


def test_an_account_in_use_whose_folder_is_missing_is_not_mounted_and_nothing_is_made(
    root: Path, file: FileToPut
) -> None:
    in_use = LocalBackend(root, prefix="weaboo", in_use=True)
    with pytest.raises(StorageUnavailableError, match=r"missing.*mounted"):
        put(in_use, file)
    assert not root.exists()


def test_a_fresh_file_system_in_the_place_of_the_old_one_is_empty(root: Path) -> None:
    (root / "lost+found").mkdir(parents=True)
    with pytest.raises(StorageUnavailableError, match="empty"):
        LocalBackend(root, in_use=True).stat(REPO, PATH)


def test_an_account_in_use_may_lose_its_last_object_by_a_deletion(root: Path, file: FileToPut) -> None:
    put(LocalBackend(root), file)
    in_use = LocalBackend(root, in_use=True)
    in_use.delete(REPO, PATH)
    with pytest.raises(ObjectMissingError):
        in_use.stat(REPO, PATH)
    put(in_use, file)
    assert content_of(in_use) == CONTENT


def test_a_new_account_has_no_folder_yet_and_that_is_fine(backend: LocalBackend) -> None:
    found = backend.capacity()
    assert (found.used, found.files) == (0, 0)
    assert found.free
    assert not backend.root.exists()


# --- What lies about in the folder ---


def test_links_that_lead_out_of_the_folder_are_not_followed(
    backend: LocalBackend, file: FileToPut, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "55825" / "ep1").mkdir(parents=True)
    (outside / PATH).write_bytes(b"private")
    backend.root.mkdir()
    (backend.root / REPO).symlink_to(outside)
    for action in (
        lambda: backend.stat(REPO, PATH),
        lambda: content_of(backend),
        lambda: put(backend, file),
        lambda: backend.delete(REPO, PATH),
    ):
        with pytest.raises(StorageError, match="link"):
            action()
    assert list(backend.list()) == []
    assert (outside / PATH).read_bytes() == b"private"


def test_a_link_in_the_place_of_an_object_is_replaced_by_it(
    backend: LocalBackend, file: FileToPut, tmp_path: Path
) -> None:
    (tmp_path / "private").write_bytes(b"private")
    place = backend.local_path(REPO, PATH)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "private")
    with pytest.raises(ObjectMissingError):
        backend.stat(REPO, PATH)
    put(backend, file)
    assert (content_of(backend), (tmp_path / "private").read_bytes()) == (CONTENT, b"private")


@pytest.mark.parametrize("repo", ["../x", "a/b", "", ".", "..", "a\0b", "/etc"])
def test_no_repository_leads_out_of_the_folder(backend: LocalBackend, repo: str) -> None:
    for action in (backend.stat, backend.delete):
        with pytest.raises(StorageError):
            action(repo, "x.mp4")
    with pytest.raises(StorageError):
        list(backend.list(repo))


def test_a_pipe_or_a_folder_in_the_place_of_an_object_is_no_object(backend: LocalBackend) -> None:
    place = backend.local_path(REPO, PATH)
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    (place.parent / "folder.mp4").mkdir()
    for path in (PATH, "55825/ep1/folder.mp4"):
        with pytest.raises(ObjectMissingError):
            backend.stat(REPO, path)
    assert list(backend.list()) == []


def test_hidden_files_and_names_that_are_no_text_are_not_listed(backend: LocalBackend, file: FileToPut) -> None:
    put(backend, file)
    folder = backend.local_path(REPO, PATH).parent
    (folder / ".hidden").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.mp4")).write_bytes(b"x")
    (backend.root / ".Trash").mkdir()
    (backend.root / "notes.txt").write_bytes(b"x")
    assert [found.path for found in backend.list()] == [PATH]
    assert backend.capacity().used == len(CONTENT)


def test_what_was_left_behind_for_days_is_forgotten_and_what_is_in_work_is_not(
    backend: LocalBackend, file: FileToPut
) -> None:
    put_elsewhere(backend.root, file.source, 1).wait(60)
    [part] = backend.root.rglob("*.part")
    assert (backend.capacity().used, part.exists()) == (0, True)
    days_ago = time.time() - 4 * 24 * 3600
    os.utime(part, (days_ago, days_ago))

    def measure(_done: int) -> None:
        if part.exists():  # once it is whole, it has become the object
            os.utime(part, (days_ago, days_ago))
            backend.capacity()

    backend.put([file], measure)
    assert content_of(backend) == CONTENT
    backend.delete(REPO, PATH)
    put_elsewhere(backend.root, file.source, 1).wait(60)
    [part] = backend.root.rglob("*.part")
    os.utime(part, (days_ago, days_ago))
    backend.capacity()
    assert everything_in(backend.root) == []


def test_what_was_sent_ahead_is_not_copied_again(backend: LocalBackend, file: FileToPut, tmp_path: Path) -> None:
    growing = Growing(tmp_path / "growing", len(CONTENT))
    growing.add(CONTENT)
    backend.send_ahead(growing, REPO, PATH)
    [part] = backend.root.rglob("*.part")
    inode, written = part.stat().st_ino, part.stat().st_mtime_ns
    put(backend, file)
    found = backend.local_path(REPO, PATH).stat()
    assert (found.st_ino, found.st_mtime_ns) == (inode, written)


def test_a_name_that_is_too_long_is_an_error_for_people(backend: LocalBackend, desk: Desk) -> None:
    with pytest.raises(StorageError, match="long"):
        put(backend, desk.file(CONTENT, "n" * 300))


def test_a_source_that_changed_is_not_stored(backend: LocalBackend, file: FileToPut) -> None:
    with file.source.open("ab") as source:
        source.write(b"more")
    with pytest.raises(StorageError, match="bytes"):
        put(backend, file)
    assert not backend.root.exists()
