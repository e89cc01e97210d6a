"""Real Chromium. These tests are skipped where there is none, and fail where it doesn't start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from queue_app.downloaders import browser
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.unit.page_downloads import Pages


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the program."""
    program = browser.find()
    if program is None:
        pytest.skip("No Chromium or no Playwright on this machine: apt-get install chromium, make browser.")
    return program


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the browsers of this test have their profiles. Its path is short, as that of a socket must be."""
    folder = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def pages(origin: Origin, tmp_path: Path, videos: Videos, chromium: str, temporary: Path) -> Pages:
    """The origin with a film at /film.mp4 and, as a stream, at /hls/master.m3u8; pages are watched in Chromium."""
    folder = tmp_path / "job"
    folder.mkdir()
    origin.put("/film.mp4", videos.mp4.read_bytes())
    for file in videos.hls_ts.iterdir():
        origin.put(f"/hls/{file.name}", file.read_bytes())
    return Pages(origin, folder, browser=chromium, seconds=40)
