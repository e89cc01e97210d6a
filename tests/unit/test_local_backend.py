"""A folder as a storage account."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from storage_app.backends.base import FileToPut, ObjectMissingError, Progress, StorageError, StorageUnavailableError
from storage_app.backends.local import LocalBackend

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.mp4"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "account")


def put(backend: LocalBackend, source: Path, repo: str, path: str, sha256: str, progress: Progress) -> None:
    backend.put([FileToPut(source, repo, path, sha256, source.stat().st_size)], progress)


def files(backend: LocalBackend) -> list[str]:
    return sorted(str(path.relative_to(backend.root)) for path in backend.root.rglob("*") if path.is_file())


def part_of(backend: LocalBackend, content: bytes) -> Path:
    """What a killed put of r/a.mp4 left."""
    folder = backend.local_path("r", "a.mp4").parent
    folder.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(b"a.mp4").hexdigest()[:24]
    left = folder / f".{mark}.{SHA256[:16]}.x1y2z3.part"
    left.write_bytes(content)
    return left


def test_what_is_put_comes_out_again(backend: LocalBackend, source: Path) -> None:
    sent: list[int] = []
    put(backend, source, "weaboo-1", "1/ep1/a.mp4", SHA256, sent.append)
    assert b"".join(backend.open("weaboo-1", "1/ep1/a.mp4")) == CONTENT
    assert sent[-1] == len(CONTENT)
    assert files(backend) == ["weaboo-1/1/ep1/a.mp4"]


def test_a_part_of_it_can_be_read(backend: LocalBackend, source: Path) -> None:
    put(backend, source, "r", "a.mp4", SHA256, lambda _: None)
    assert b"".join(backend.open("r", "a.mp4", 1000, 2000)) == CONTENT[1000:2000]


def test_stat_hashes_the_stored_bytes(backend: LocalBackend, source: Path) -> None:
    put(backend, source, "r", "a.mp4", SHA256, lambda _: None)
    backend.local_path("r", "a.mp4").write_bytes(b"rotten")
    assert backend.stat("r", "a.mp4").sha256 == hashlib.sha256(b"rotten").hexdigest()


def test_a_file_with_another_hash_is_not_stored(backend: LocalBackend, source: Path) -> None:
    with pytest.raises(StorageUnavailableError, match="sha256"):
        put(backend, source, "r", "a.mp4", "0" * 64, lambda _: None)
    assert files(backend) == []


def test_a_copy_that_is_stopped_leaves_no_file(backend: LocalBackend, source: Path) -> None:
    def stop(_sent: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(backend, source, "r", "a.mp4", SHA256, stop)
    assert files(backend) == []


def test_a_missing_object_is_said_to_be_missing(backend: LocalBackend) -> None:
    with pytest.raises(ObjectMissingError):
        backend.stat("r", "a.mp4")


def test_delete_is_harmless_when_there_is_nothing(backend: LocalBackend, source: Path) -> None:
    put(backend, source, "r", "a.mp4", SHA256, lambda _: None)
    backend.delete("r", "a.mp4")
    backend.delete("r", "a.mp4")
    assert files(backend) == []


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/etc/passwd", "a//b", "", "a\0b"])
def test_no_name_leads_out_of_the_folder(backend: LocalBackend, path: str) -> None:
    with pytest.raises(StorageError):
        backend.local_path("r", path)


def test_a_folder_that_cannot_be_made_is_an_error_for_people(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        put(LocalBackend(tmp_path / "file"), source, "r", "a.mp4", SHA256, lambda _: None)


def test_what_a_killed_copy_left_goes_with_the_next_one(backend: LocalBackend, source: Path) -> None:
    part_of(backend, b"half")
    put(backend, source, "r", "a.mp4", SHA256, lambda _: None)
    assert files(backend) == ["r/a.mp4"]


def test_a_copy_that_was_overtaken_does_not_replace_the_later_one(backend: LocalBackend, source: Path) -> None:
    later = source.with_name("later.mp4")
    later.write_bytes(b"later")

    def overtake(_sent: int) -> None:
        put(backend, later, "r", "a.mp4", hashlib.sha256(b"later").hexdigest(), lambda _: None)

    with pytest.raises(StorageError):
        put(backend, source, "r", "a.mp4", SHA256, overtake)
    assert b"".join(backend.open("r", "a.mp4")) == b"later"
    assert files(backend) == ["r/a.mp4"]
