"""Fixtures for every tier."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from storage_app.models import AccountKind, StorageAccount

pytest_plugins = ["tests.servers.fixtures"]


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
def new_connection(transactional_db: None) -> Iterator[type[psycopg.Connection]]:
    """Opens further connections to the test database, as other clients would; all are closed at the end."""
    opened: list[psycopg.Connection] = []

    class Client(psycopg.Connection):
        @classmethod
        def open(cls) -> psycopg.Connection:
            opened.append(psycopg.connect(dsn(), autocommit=True))
            return opened[-1]

    yield Client
    for client in opened:
        client.close()


def dsn() -> str:
    """The test database as a connection string."""
    database = connection.settings_dict
    return (
        f"host={database['HOST']} port={database['PORT']} dbname={database['NAME']}"
        f" user={database['USER']} password={database['PASSWORD']}"
    )
