"""Fixtures for tests without a database."""

from __future__ import annotations

import pytest

from tests.unit.specimens import Specimens


@pytest.fixture(scope="session")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Specimens:
    """Good videos of many kinds."""
    return Specimens(tmp_path_factory.mktemp("specimens"))
