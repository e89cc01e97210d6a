"""The production policy in a network where everything answers: nothing that comes from outside gets inside."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.network.entries import FETCHES, FILES, LEAVING, PAGES, STREAMS, TRACE
from tests.network.hostile import LOCATIONS, URLS
from tests.network.namespace import run_inside, way_in

Report = dict[str, Any]

# A way on which a source's own, harmless bytes may be all that is fetched, or the whole that counts.
HARMLESS_WITHOUT = {"mirror of a whole file", "mirror of a large file", "subtitles", "segment of the subtitles"}
WATCHED = {f"{entry} in a browser" for entry in ("all", *LEAVING)}
GROUPS = {
    "fetches": set(FETCHES),
    "viewers": set(FETCHES),
    "files": set(FILES),
    "streams": set(STREAMS),
    "pages": set(PAGES) | WATCHED,
}


def report(group: str) -> Report:
    """What happens in the namespace."""
    command = way_in()
    if command is None:
        pytest.skip("this user may make no network namespace (unshare --net --mount, with --map-root-user or as root)")
    found: Report = run_inside(command, "tests.network.attack", group, seconds=280)
    return found


def test_bare_requests_get_inside_and_we_reach_the_public() -> None:
    found = report("control")
    ends = Counter((one["entry"], one["end"]) for one in found["tries"])
    assert len(found["visits"]) > (60 if found["ipv6"] else 30)
    addresses = 4 if found["ipv6"] else 2
    assert (ends["safe_http", "fetched"], ends["async_http", "fetched"]) == (addresses, addresses)
    assert ends["download", "fetched"] == 2


@pytest.mark.parametrize("group", GROUPS)
def test_nobody_gets_inside(group: str) -> None:
    found = report(group)
    assert found["visits"] == []
    # Every way was tried, with no harmless end but those that are meant to be.
    assert {one["entry"] for one in found["tries"]} == GROUPS[group]
    assert found["reached"]
    fetched = [one for one in found["tries"] if one["end"] == "fetched" and one["entry"] not in HARMLESS_WITHOUT]
    assert [one for one in fetched if one["url"] not in LOCATIONS] == []
    if group in {"fetches", "viewers"}:
        refused = [one for one in found["tries"] if one["end"] == "AddressRefused"]
        assert len(refused) > 0.95 * len(URLS) * len(FETCHES)
    if any("watching it in a browser" in one["text"] for one in found["tries"]):
        assert TRACE in found["reached"]


def test_there_are_enough_hostile_urls() -> None:
    assert len(set(URLS)) > 90
