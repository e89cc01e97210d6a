"""What is kept aside, for how long, and how much of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from queue_app.failures import BadSource
from queue_app.quarantine import REASON, forget_old, keep_aside, make_room


def refuse(folder: Path, root: Path, name: str, size: int = 10, age: float = 0) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "source.mp4").write_bytes(bytes(size))
    (folder / "direct.resume.json").write_text("{}")
    kept = keep_aside(folder, root, name, BadSource("It is damaged.", details="[h264] no"))
    assert kept is not None
    os.utime(kept / REASON, (time.time() - age, time.time() - age))
    return kept


def test_the_files_are_moved_with_the_reason_beside_them(tmp_path: Path) -> None:
    kept = refuse(tmp_path / "job", tmp_path / "q", "job-1")
    assert {path.name for path in kept.iterdir()} == {"source.mp4", REASON}
    reason = json.loads((kept / REASON).read_text())
    assert (reason["failure_class"], reason["details"]) == ("bad_source", "[h264] no")
    assert (kept.stat().st_mode & 0o777, kept.name.endswith("-job-1")) == (0o700, True)


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    assert keep_aside(tmp_path / "job", tmp_path / "q", "x", BadSource("no")) is None
    assert not (tmp_path / "q").exists()


def test_what_is_old_goes(tmp_path: Path) -> None:
    old = refuse(tmp_path / "job", tmp_path / "q", "old", age=3 * 86_400)
    new = refuse(tmp_path / "job", tmp_path / "q", "new")
    (tmp_path / "q" / "notes").mkdir()
    assert forget_old(tmp_path / "q", 2) == 1
    assert (old.exists(), new.exists(), (tmp_path / "q" / "notes").exists()) == (False, True, True)


def test_the_oldest_goes_when_there_is_too_much(tmp_path: Path) -> None:
    kept = [refuse(tmp_path / "job", tmp_path / "q", f"n{age}", 10_000, age) for age in (30, 20, 10)]
    assert make_room(tmp_path / "q", 21_000) == 1
    assert [folder.exists() for folder in kept] == [False, True, True]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "q").mkdir(mode=0o000)
    assert forget_old(tmp_path / "q", 1) == 0


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert (forget_old(tmp_path / "none", 1), make_room(tmp_path / "none", 1)) == (0, 0)
