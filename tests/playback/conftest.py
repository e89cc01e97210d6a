"""Chromium, the films, and the places they are played from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from queue_app.downloaders import browser
from tests.playback.films import Films
from tests.playback.tab import PageServer, Tab
from tests.servers.origin import Origin
from tests.servers.site import Site
from tests.servers.workerd import Edge, program
from tests.worker.conftest import start_worker

__all__ = ["start_worker"]

Place = Site | Edge


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    """What there is to play."""
    return Films(tmp_path_factory.mktemp("films"))


@pytest.fixture
def cinema(films: Films) -> Iterator[Origin]:
    """The origin of all films."""
    with Origin(films.folder) as origin:
        yield origin


@pytest.fixture(scope="session")
def pages() -> Iterator[PageServer]:
    """Serves the page that plays."""
    with PageServer() as running:
        yield running


@pytest.fixture
def tab(pages: PageServer) -> Iterator[Tab]:
    """A page in Chromium."""
    program = browser.find()
    if program is None:
        pytest.skip("No Chromium or no Playwright on this machine: apt-get install chromium, make browser.")
    with Tab(program, pages) as running:
        yield running


@pytest.fixture
def site(transactional_db: None, cinema: Origin, tmp_path: Path) -> Iterator[Site]:
    """The site itself; it may fetch from the origin of the films."""
    with Site(tmp_path / "site", [cinema.host_port]) as running:
        yield running


@pytest.fixture(params=["site", "edge"])
def place(request: pytest.FixtureRequest, site: Site, cinema: Origin, tmp_path: Path) -> Iterator[Place]:
    """Where viewers go: the site, or the Worker on real workerd, which asks the site for what is archived."""
    if request.param == "site":
        yield site
        return
    if program() is None:
        pytest.skip("no workerd to test the Worker with (make .venv/edge.ok)")
    allowed = [cinema.host_port, ("127.0.0.1", site.port)]
    with Edge(tmp_path / "edge", allowed, STORE_URL=site.base_url) as running:
        yield running
