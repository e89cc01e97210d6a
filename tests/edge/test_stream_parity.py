"""`/stream/…` of the Worker and of the site itself, for the same videos of the same archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from queue_app.queue import enqueue_video
from storage_app.deletion import delete_videos
from storage_app.models import VideoStore
from storage_app.naming import VideoKey
from tests.archive import CONTENT, KEY, archive, copy_of, make_account
from tests.edge.table import Answer, ask
from tests.servers.origin import Origin
from tests.servers.site import Site
from tests.servers.workerd import Edge

SIZE = len(CONTENT)
PATH = KEY.stream_path()
NOTHING = VideoKey(1, 2, "p", None).stream_path()


@pytest.fixture
def video(transactional_db: None, tmp_path: Path) -> VideoStore:
    return archive(KEY, [make_account(tmp_path, index) for index in (1, 2)])


@pytest.fixture
def edge_of_site(start_edge: Callable[..., Edge], site: Site, origin: Origin) -> Edge:
    """The Worker in front of `site`."""
    return start_edge([origin.host_port], STORE_URL=site.base_url)


def both(edge: Edge, site: Site, path: str = PATH, method: str = "GET", **headers: str) -> tuple[Answer, Answer]:
    """What the Worker and what the site answer."""
    request = {"method": method, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}
    return ask(edge.base_url, path, request), ask(site.base_url, path, request)


REQUESTS = [
    {},
    {"method": "HEAD"},
    {"method": "HEAD", "Range": "bytes=0-1"},
    {"Range": "bytes=0-0"},
    {"Range": "bytes=1000-"},
    {"Range": "bytes=-7"},
    {"Range": "bytes=5-999999999"},
    {"Range": "bytes=0-1,5-6"},
    {"Range": "bytes=9-1"},
    {"Range": "bytes=-0"},
    {"Range": f"bytes={SIZE}-"},
    {"Range": "bytes=99999999999999999999-"},
    {"Range": "bytes=0-1", "If_Range": '"other"'},
    {"If_None_Match": "*"},
    {"If_None_Match": '"other", W/"another"'},
    {"If_Match": '"other"'},
    {"If_Match": "*"},
    {"If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
    {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    {"If_Modified_Since": "yesterday"},
    {"If_Unmodified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
    {"method": "OPTIONS"},
    {"method": "POST"},
    {"path": PATH + "/"},
]


def test_an_archived_video_is_the_same_from_both(video: VideoStore, edge_of_site: Edge, site: Site) -> None:
    different = {}
    for request in REQUESTS:
        of_the_worker, of_the_site = both(edge_of_site, site, **request)
        if of_the_worker != of_the_site:
            different[str(request)] = (of_the_worker, of_the_site)
    assert different == {}
    whole, _ = both(edge_of_site, site)
    assert (whole.status, whole.body) == (200, CONTENT)


def test_validators_are_the_same_from_both(video: VideoStore, edge_of_site: Edge, site: Site) -> None:
    whole, _ = both(edge_of_site, site, method="HEAD")
    for headers in (
        {"If_None_Match": whole.headers["etag"]},
        {"If_Modified_Since": whole.headers["last-modified"]},
        {"Range": "bytes=0-1", "If_Range": whole.headers["last-modified"]},
    ):
        of_the_worker, of_the_site = both(edge_of_site, site, **headers)
        assert of_the_worker == of_the_site
        assert of_the_worker.status in {304, 206}


def test_one_without_a_copy_is_503_from_both(video: VideoStore, edge_of_site: Edge, site: Site) -> None:
    assert video.stored_file is not None
    for replica in video.stored_file.replicas.select_related("account"):
        copy_of(video, replica.account).unlink()
    of_the_worker, of_the_site = both(edge_of_site, site)
    assert (of_the_worker.status, of_the_worker) == (503, of_the_site)


@pytest.mark.parametrize(
    "path", [NOTHING, "/stream/x/1/p", "/stream/1/1/%00", "/stream/1/1/..%2Fp", "/stream/1/1/%FF", "/stream/-1/1/p"]
)
def test_what_nobody_has_asked_for_is_404_from_both(
    transactional_db: None, edge_of_site: Edge, site: Site, path: str
) -> None:
    of_the_worker, of_the_site = both(edge_of_site, site, path)
    assert (of_the_worker.status, of_the_worker) == (404, of_the_site)


def test_a_deleted_one_is_410_from_both(video: VideoStore, edge_of_site: Edge, site: Site) -> None:
    delete_videos([video.id], "tests", "no longer wanted")
    of_the_worker, of_the_site = both(edge_of_site, site)
    assert (of_the_worker.status, of_the_worker) == (410, of_the_site)


def test_a_source_is_the_same_from_both(transactional_db: None, edge_of_site: Edge, site: Site, origin: Origin) -> None:
    enqueue_video(VideoKey(1, 2, "p", None), origin.put("/v.mp4", CONTENT))
    of_the_worker, of_the_site = both(edge_of_site, site, NOTHING, Range="bytes=5-9")
    assert of_the_worker == of_the_site
    assert (of_the_worker.status, of_the_worker.body) == (206, CONTENT[5:10])


def test_the_same_url_goes_on_working_when_the_video_has_been_archived(
    transactional_db: None, edge_of_site: Edge, site: Site, origin: Origin, tmp_path: Path
) -> None:
    enqueue_video(KEY, origin.put("/v.mp4", CONTENT))
    assert requests.get(edge_of_site.url(PATH), timeout=60).content == CONTENT
    archive(KEY, [make_account(tmp_path)])
    assert requests.get(edge_of_site.url(PATH), timeout=60).content == CONTENT
