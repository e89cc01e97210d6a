"""Fixtures for works with sources; loaded by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from archive_site.database_threads import close_connections
from tests.servers.origin import Origin


@pytest.fixture(autouse=True)
def no_kept_connections() -> Iterator[None]:
    """What a view's threads have kept open is closed, or the test database couldn't be dropped."""
    yield
    close_connections()


@pytest.fixture
def reachable(transactional_db: None, origin: Origin, settings: Any) -> Origin:
    """The origin, which may be fetched from. Other threads see what is in the database."""
    settings.FETCH_ALLOW_HOSTS = frozenset({origin.host_port})
    settings.RESOLVE_SECONDS = 20.0
    return origin
