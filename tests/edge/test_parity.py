"""The Worker and the site answer the same: status, headers and body, over the shared table of requests."""

from __future__ import annotations

import time

import pytest

from tests.edge.table import ROWS, Answer, Places, Row, ask, check, target_of
from tests.edge.table_origin import TableOrigin
from tests.servers.site import Site
from tests.servers.workerd import Edge

every_row = pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])


@pytest.fixture(scope="module")
def now() -> float:
    return time.time()


def play(base_url: str, row: Row, origin: TableOrigin, places: Places, now: float) -> Answer:
    origin.play(places.scripts(row))
    answer = ask(base_url, target_of(row, places, now), row["request"])
    answer.seen = list(origin.seen)
    return answer


@every_row
def test_the_worker_answers_as_the_table_says(
    row: Row, table_edge: Edge, table_origin: TableOrigin, places: Places, now: float
) -> None:
    check(row, play(table_edge.base_url, row, table_origin, places, now), places)


@every_row
def test_the_site_answers_the_same(
    row: Row, table_edge: Edge, table_site: Site, table_origin: TableOrigin, places: Places, now: float
) -> None:
    of_the_worker = play(table_edge.base_url, row, table_origin, places, now)
    of_the_site = play(table_site.base_url, row, table_origin, places, now)
    check(row, of_the_site, places)
    assert of_the_site == of_the_worker
