"""The origin of the table of requests, and both forms of this site's answers beside it, once for all rows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.edge.table import KEY, OLD_KEY, Places
from tests.edge.table_origin import TableOrigin
from tests.servers.site import Site
from tests.servers.workerd import Edge, program


@pytest.fixture(scope="module")
def table_origin() -> Iterator[TableOrigin]:
    """Answers as a row says."""
    with TableOrigin() as running:
        yield running


@pytest.fixture(scope="module")
def nobody() -> Iterator[tuple[str, int]]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()


@pytest.fixture(scope="module")
def places(table_origin: TableOrigin, nobody: tuple[str, int]) -> Places:
    """The URLs of this run."""
    return Places(table_origin.url("").rstrip("/"), "http://{}:{}".format(*nobody))


@pytest.fixture(scope="module")
def table_edge(
    table_origin: TableOrigin, nobody: tuple[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    """The Worker."""
    if program() is None:
        pytest.skip("no workerd to test the Worker with (make .venv/edge.ok)")
    keys = {"PROXY_SIGNING_KEY": KEY, "PROXY_SIGNING_KEYS_OLD": f"unused-key, {OLD_KEY}"}
    with Edge(tmp_path_factory.mktemp("edge"), [table_origin.host_port, nobody], **keys) as running:
        yield running


@pytest.fixture(scope="module")
def table_site(
    django_db_setup: Any,
    django_db_blocker: Any,
    table_origin: TableOrigin,
    nobody: tuple[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """The site itself."""
    keys = {"PROXY_SIGNING_KEY": KEY, "PROXY_SIGNING_KEYS_OLD": f"unused-key, {OLD_KEY}"}
    with Site(tmp_path_factory.mktemp("site"), [table_origin.host_port, nobody], **keys) as running:
        yield running
