"""Real Chromium. These tests are skipped where there is none, and fail where it doesn't start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from pytest_django import DjangoDbBlocker

from queue_app.downloaders import browser
from tests.browser.watching import Viewer, film, launch
from tests.servers.origin import Origin
from tests.servers.site import Site
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


@pytest.fixture(scope="module")
def browser_of_viewers(chromium: str) -> Iterator[Browser]:
    """One Chromium for all tests of a module, each in a context of its own."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's synchronous interface keeps a loop in this thread, in which Django would refuse its database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with launch(playwright, chromium) as running:
            yield running


@pytest.fixture
def viewer(browser_of_viewers: Browser) -> Iterator[Viewer]:
    """A tab of 1280 by 800; nothing of the page's may have failed in it."""
    with browser_of_viewers.new_context(viewport={"width": 1280, "height": 800}) as context:
        watching = Viewer(context)
        yield watching
        assert watching.complaints == []


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with film-80-90.mp4 and film-80-180.mp4."""
    folder = tmp_path_factory.mktemp("films")
    for height in (90, 180):
        film(folder, height=height)
    return folder


@pytest.fixture(scope="module")
def kept_site(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The site on the test database, for all tests of a module."""
    with django_db_blocker.unblock(), Site(tmp_path_factory.mktemp("site") / "data") as running:
        yield running
