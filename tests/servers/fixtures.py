"""Fixtures for servers and videos; loaded by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.hub import Hub
from tests.servers.origin import Origin
from tests.servers.videos import Videos


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    """Small test videos, each made when it is first used."""
    return Videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    """An HTTP origin that serves an empty folder of its own."""
    folder = tmp_path / "origin"
    folder.mkdir()
    with Origin(folder) as running:
        yield running


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hugging Face Hub with no account; see `Hub.add_user`."""
    with Hub(tmp_path / "hub") as running:
        yield running
    assert running.crashes == []
