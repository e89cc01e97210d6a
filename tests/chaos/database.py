"""A PostgreSQL of the chaos test's own, which may be restarted and killed under everybody's feet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
from django.conf import settings
from psycopg.rows import dict_row

from archive_site.embedded_postgres import EmbeddedPostgres
from archive_site.postgres_cluster import Cluster, free_port, new_password

PATIENCE = 60.0
PORTS = range(20_000, 30_000)
"""Below those that the kernel gives to clients: none of them may take the port while the server is down."""


class Database:
    """`with Database(folder) as database:` has the product's tables; its port stays the same through restarts."""

    def __init__(self, folder: Path) -> None:
        self._cluster = Cluster(folder)
        self._cluster.make_home()
        self._cluster.write_dsn(new_password(), _port_of_its_own())
        self._server = EmbeddedPostgres(folder)
        self.url = self._server.start()

    def __enter__(self) -> Database:
        environment = os.environ | {"DATABASE_URL": self.url}
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def restart(self) -> None:
        """As an operator would: sessions are ended, transactions rolled back."""
        self._server.stop()
        self._start_again()

    def crash(self) -> None:
        """As the kernel out of memory would: `kill -9` of the postmaster."""
        pid = int((self._cluster.folder / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        postmaster = psutil.Process(pid)
        postmaster.send_signal(signal.SIGKILL)
        self._start_again()

    def ask(self, statement: LiteralString, *arguments: Any) -> list[dict[str, Any]]:
        """The rows of a statement that is harmless to repeat; tried again while the server is away."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with psycopg.connect(self.url, row_factory=dict_row, connect_timeout=5) as connection:
                    cursor = connection.execute(statement, arguments)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _start_again(self) -> None:
        assert self._server.start() == self.url, "the restarted server has another address"


def _port_of_its_own() -> int:
    """A free one; two tests at once begin to look at different places."""
    first = PORTS.start + os.getpid() % len(PORTS)
    return next(port for port in range(first, PORTS.stop + 1000) if free_port(port) == port)
