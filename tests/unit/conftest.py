"""Fixtures for tests without a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.specimens import Specimens


@pytest.fixture(scope="session")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Specimens:
    """Good videos of many kinds."""
    return Specimens(tmp_path_factory.mktemp("specimens"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where downloads go."""
    path = tmp_path / "download"
    path.mkdir()
    return path
