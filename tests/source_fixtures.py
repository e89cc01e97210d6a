"""Fixtures for works with sources; loaded by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from archive_site.database_threads import close_connections
from tests.servers.origin import Origin


@pytest.fixture
def kept_connections(transactional_db: None) -> Iterator[None]:
    """What is in the database for other threads, whose connections end with the test."""
    yield
    close_connections()


@pytest.fixture
def reachable(kept_connections: None, origin: Origin, settings: Any) -> Origin:
    """The origin, which may be fetched from."""
    settings.FETCH_ALLOW_HOSTS = frozenset({origin.host_port})
    settings.RESOLVE_SECONDS = 20.0
    return origin
