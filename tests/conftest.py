"""Fixtures for every tier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from storage_app.models import AccountKind, StorageAccount

Client = psycopg.Connection[dict[str, Any]]

pytest_plugins = ["tests.servers.fixtures", "tests.source_fixtures"]


@pytest.fixture
def accounts(db: None, tmp_path: Path) -> list[StorageAccount]:
    """Two local storage accounts, their folders not made yet."""
    return [
        StorageAccount.objects.create(
            index=index, kind=AccountKind.LOCAL, username=f"local{index}", root=str(tmp_path / f"account{index}")
        )
        for index in (1, 2)
    ]


@pytest.fixture
def connect(transactional_db: None) -> Iterator[Callable[[], Client]]:
    """Opens further connections to the test database, as other clients would; all are closed at the end."""
    opened: list[Client] = []

    def open_one() -> Client:
        opened.append(psycopg.connect(dsn(), autocommit=True, row_factory=dict_row))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture
def client_connection(connect: Callable[[], Client]) -> Client:
    """One further connection."""
    return connect()


def dsn() -> str:
    """The test database as a connection string."""
    database = connection.settings_dict
    return make_conninfo(
        host=database["HOST"],
        port=database["PORT"],
        dbname=database["NAME"],
        user=database["USER"],
        password=database["PASSWORD"],
    )
