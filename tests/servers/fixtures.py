"""Fixtures for servers and videos; loaded by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.hub import Hub
from tests.servers.origin import Origin
from tests.servers.rgw import Rgw, missing_programs
from tests.servers.s3_faults import S3Faults
from tests.servers.videos import Videos

if TYPE_CHECKING:
    from storage_app.backends.s3 import Bucket
    from tests.servers.nginx import Nginx
    from tests.servers.site import Site
    from tests.servers.workerd import Edge


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    """Small test videos, each made when it is first used."""
    return Videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    """An HTTP origin that serves an empty folder of its own."""
    folder = tmp_path / "origin"
    folder.mkdir()
    with Origin(folder) as running:
        yield running


@pytest.fixture(scope="session")
def rgw() -> Iterator[Rgw]:
    """A real S3 server."""
    if missing := missing_programs():
        pytest.skip(f"no S3 server to test with: {', '.join(missing)} missing (make .venv/s3server.ok)")
    with Rgw() as running:
        yield running


@pytest.fixture
def s3_faults(rgw: Rgw) -> Iterator[S3Faults]:
    """A proxy before the S3 server, that can misbehave."""
    with S3Faults(("127.0.0.1", rgw.port)) as running:
        yield running


@pytest.fixture
def s3_bucket(rgw: Rgw, s3_faults: S3Faults, tmp_path: Path) -> Bucket:
    """An empty bucket behind that proxy, with parts as small as S3 allows."""
    from tests.servers.s3 import new_bucket  # boto3 takes its time

    return new_bucket(rgw, tmp_path, s3_faults.endpoint)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hugging Face Hub with no account; see `Hub.add_user`."""
    with Hub(tmp_path / "hub") as running:
        yield running
    assert running.crashes == []


@pytest.fixture
def start_site(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts the site: `start_site([origin.host_port], WEB_WORKERS="2")`; see `Site`."""
    from tests.servers.site import Site  # Django must be set up

    with ExitStack() as running:

        def start(allow: Iterable[tuple[str, int]] = (), *, data: str = "site", **environment: str) -> Site:
            return running.enter_context(Site(tmp_path / data, allow, **environment))

        yield start


@pytest.fixture
def site(start_site: Callable[..., Site], origin: Origin) -> Site:
    """The site in one process of its own, on the test database; it may fetch from `origin`."""
    return start_site([origin.host_port])


@pytest.fixture
def start_edge(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Starts the Worker: `start_edge([origin.host_port], STORE_URL=site.base_url)`; see `Edge`."""
    from tests.servers.workerd import Edge, program  # Django must be set up

    if program() is None:
        pytest.skip("no workerd to test the Worker with (make .venv/edge.ok)")
    with ExitStack() as running:

        def start(allow: Iterable[tuple[str, int]] = (), *, data: str = "edge", **more: Any) -> Edge:
            return running.enter_context(Edge(tmp_path / data, allow, **more))

        yield start


@pytest.fixture
def edge(start_edge: Callable[..., Edge], origin: Origin) -> Edge:
    """The Worker without an archive behind it; it may fetch from `origin`."""
    return start_edge([origin.host_port])


@pytest.fixture
def edge_production(start_edge: Callable[..., Edge], origin: Origin) -> Edge:
    """The Worker with the network that it has at Cloudflare, although its own code would let `origin` pass."""
    return start_edge([origin.host_port], network=["public"])


@pytest.fixture
def nginx_site(start_site: Callable[..., Site], origin: Origin, tmp_path: Path) -> Iterator[Nginx]:
    """The same behind a real nginx, to which it leaves the bytes of videos."""
    from tests.servers.nginx import PROGRAM, Nginx

    if PROGRAM is None:
        pytest.skip("no nginx to test with (make .venv/nginx.ok)")
    site = start_site([origin.host_port], X_ACCEL="true")
    with Nginx(tmp_path / "nginx", site.port) as running:
        yield running
