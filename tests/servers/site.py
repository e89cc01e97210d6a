"""The site itself as `make run` starts it: gunicorn with the product's own configuration, in processes of its own.

It uses the test database, so a test that reads or writes rows needs `transactional_db`: what is in a transaction of the
test is not seen by another process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
import requests
from django.conf import settings
from django.db import connection

from archive_site.process_tree import kill_trees
from storage_app.playback.urls import signer

HostPort = tuple[str, int]


class Site:
    """`with Site(folder, allow=[origin.host_port]) as site:` runs until the end of the block; `base_url` is its URL.

    `allow` are the origins on loopback that it may fetch from. Further words are variables of its environment:
    `Site(folder, WEB_WORKERS="2")`. Signing keys, salt and tokens are those of the test process.
    """

    def __init__(self, folder: Path, allow: Iterable[HostPort] = (), **environment: str) -> None:
        self.data = folder
        self.log_file = folder / "web.log"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = int(self._listener.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "DATABASE_URL": _database_url(),
            "REELKEEP_DATA": str(folder),
            "REELKEEP_PARENT": str(os.getpid()),
            "PUBLIC_URL": self.base_url,
            "PORT": str(self.port),
            "WEB_WORKERS": "1",
            "FETCH_ALLOW_HOSTS": ",".join(f"{host}:{port}" for host, port in allow),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str) -> str:
        """The URL of a path that begins with a slash."""
        return self.base_url + path

    def proxied(self, url: str) -> str:
        """A signed link by which a player gets this upstream URL."""
        return self.url(f"/proxy?{signer().exact(url)}")

    def unsigned(self, url: str) -> str:
        """The same, with nothing but the URL."""
        return self.url(f"/proxy?url={quote(url, safe='')}")

    def said(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children()

    def resident_bytes(self) -> int:
        """The memory of all of them together (RSS)."""
        return sum(int(worker.memory_info().rss) for worker in self.workers())

    def cpu_seconds(self) -> float:
        """The processor time that they have used so far."""
        return sum(float(times.user + times.system) for times in (worker.cpu_times() for worker in self.workers()))

    def __enter__(self) -> Self:
        self.data.mkdir(parents=True, exist_ok=True)
        listener = self._listener.fileno()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "python:archive_site.gunicorn_conf",
                 "--bind", f"fd://{listener}", "archive_site.asgi:application"],
                cwd=settings.BASE_DIR, env=os.environ | self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, pass_fds=[listener], start_new_session=True,
            )  # fmt: skip
        self._wait_until_it_serves(self._process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        if self._process is not None:
            kill_trees([self._process.pid])
            self._process.wait()

    def _wait_until_it_serves(self, process: subprocess.Popen[bytes], seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            try:
                # The socket listens already: the request waits there for the first worker.
                requests.options(self.url("/health"), timeout=max(0.1, deadline - time.monotonic()))
            except requests.RequestException:
                time.sleep(0.1)
            else:
                return
        self.__exit__(None, None, None)
        raise AssertionError(f"The site did not start:\n{self.said()}")


def _database_url() -> str:
    database = connection.settings_dict
    return "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
