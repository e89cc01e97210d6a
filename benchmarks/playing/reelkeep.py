"""A Reelkeep with one archived video, on an embedded PostgreSQL of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archive_site.embedded_postgres import EmbeddedPostgres
from benchmarks.playing.processes import ROOT, ServerProcess, free_port, serving

SALT = "bench-file-salt"
_WEB = ("-m", "gunicorn", "-c", "python:archive_site.gunicorn_conf", "archive_site.asgi:application")


@dataclass
class Installation:
    """What all its web servers have in common."""

    folder: Path
    environment: dict[str, str]
    stream: str = ""
    """The path of the archived video's URL."""
    proxy: str = ""
    """That of the origin's file."""

    @contextmanager
    def web(self, core: int | None, workers: int = 1, **settings: str) -> Iterator[ServerProcess]:
        """The web server as `make run` starts it."""
        port = free_port()
        environment = self.environment | {"PORT": str(port), "WEB_WORKERS": str(workers)} | settings
        log = self.folder / "web.log"
        with serving([sys.executable, *_WEB], port, log, core=core, environment=environment) as server:
            yield server

    @contextmanager
    def front(self, core: int, *words: str) -> Iterator[ServerProcess]:
        """What stands before or beside the web server (front.py)."""
        log = self.folder / f"front-{len(list(self.folder.glob('front-*')))}.log"
        command = [sys.executable, "-m", "benchmarks.playing.front", *words]
        with serving(command, 0, log, core=core, environment=self.environment) as server:
            yield server

    def run(self, *words: str) -> str:
        """What a Python program of it writes."""
        command, environment = [sys.executable, *words], {**os.environ, **self.environment}
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def installation(folder: Path, file: Path, sha256: str, upstream: str) -> Iterator[Installation]:
    """Prepared, with `file` archived, and with leave to fetch `upstream`, an address on loopback."""
    folder.mkdir()
    with EmbeddedPostgres(folder) as postgres:
        found = Installation(
            folder,
            {
                "DATABASE_URL": postgres.start(),
                "REELKEEP_DATA": str(folder),
                "LOCAL_STORAGE_PATHS": str(folder / "account"),
                "HF_FILE_SALT": SALT,
                "SECRET_KEY": "bench-secret-key-that-is-long-enough-for-django-to-like-it",
                "BIND": "127.0.0.1",
                "FETCH_ALLOW_HOSTS": upstream.split("/")[2],
                "DJANGO_SETTINGS_MODULE": "archive_site.settings",
            },
        )
        found.run("manage.py", "prepare")
        links = json.loads(found.run("-m", "benchmarks.playing.archived", str(file), sha256, upstream))
        found.stream, found.proxy = links["stream"], links["proxy"]
        yield found
