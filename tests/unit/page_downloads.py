"""Pages of the origin, and downloading by them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from archive_site.safe_http import Policy
from queue_app.downloaders import Downloaded, Limits, Progress, ProgressSink, Source, download
from tests.servers.origin import Origin

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
NO_BROWSER = "/nonexistent/chromium"


@dataclass
class Pages:
    """Serves pages and downloads what is on them. The policy allows nothing on this host but the origin."""

    origin: Origin
    folder: Path
    browser: str = NO_BROWSER
    seconds: float = 30
    extra_hosts: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    def put(self, html: str, path: str = "/film.html") -> str:
        """The URL of a page with this HTML."""
        return self.origin.put(path, html.encode())

    def download(
        self, url: str, *, progress: ProgressSink | None = None, resolution: str | None = None, page_url: str = ""
    ) -> Downloaded:
        """What `download` makes of `url`."""
        return download(
            Source(url, resolution, page_url=page_url),
            self.folder,
            policy=Policy(frozenset({self.origin.host_port}) | self.extra_hosts, connect_timeout=2, read_timeout=2),
            limits=Limits(max_bytes=50_000_000, retry_wait=0.01, page_seconds=self.seconds, browser=self.browser),
            progress=progress or Progress(),
        )

    def left(self) -> set[str]:
        """The names of the files in the folder."""
        return {path.name for path in self.folder.iterdir()}


SERVERS = {"postgres", "ceph-mon", "ceph-osd", "radosgw"}
"""Of the test session."""


def children() -> list[psutil.Process]:
    """The processes that this one has started and that still run, of all generations, but for the session's servers."""
    return [child for child in psutil.Process(os.getpid()).children(recursive=True) if child.name() not in SERVERS]


def naming(folder: Path) -> Iterator[psutil.Process]:
    """All processes of this machine whose command line names `folder`."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()):
            yield process
