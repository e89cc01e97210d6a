"""A file that changes between its proof and its upload."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from queue_app.artifact import ArtifactLost
from queue_app.source_check import SourceCheck
from storage_app.backends.base import FileToPut

CONTENT = bytes(range(256)) * 40_000


@pytest.fixture
def file(tmp_path: Path) -> FileToPut:
    path = tmp_path / "video.mp4"
    path.write_bytes(CONTENT)
    return FileToPut(path, "weaboo-1", "1/ep1/a.mp4", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def test_a_file_that_is_what_it_was_passes(file: FileToPut) -> None:
    check = SourceCheck(lambda: None)
    check.begin([file])
    check.require_true([file])


def flipped(path: Path) -> None:
    path.write_bytes(b"x" + CONTENT[1:])


def shorter(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("change", [flipped, shorter, Path.unlink])
def test_one_that_was_changed_is_downloaded_again(file: FileToPut, change: Callable[[Path], None]) -> None:
    change(file.source)
    check = SourceCheck(lambda: None)
    with pytest.raises(ArtifactLost):  # noqa: PT012 (which of the two sees it depends on the change)
        check.begin([file])
        check.require_true([file])
