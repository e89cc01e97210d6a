"""One embedded PostgreSQL for all, a database for each contender, and the processes that work on them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from archive_site.embedded_postgres import EmbeddedPostgres
from archive_site.postgres_process import find_server
from archive_site.process_tree import kill_trees

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_SECONDS = 10


class Server:
    """The server in a temporary folder; both are gone after the `with` block."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="reelkeep-bench-"))
        self._postgres = EmbeddedPostgres(self.folder)
        self._dsn = ""

    def __enter__(self) -> Self:
        try:
            self._dsn = self._postgres.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, name: str, template: str = "template1") -> str:
        """A new database, empty or like `template`; its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self._dsn, autocommit=True) as client:
            client.execute(statement)
        return "postgresql://{user}:{password}@{host}:{port}/{name}".format(**conninfo_to_dict(self._dsn), name=name)

    def cpu_seconds(self) -> float:
        """Used up to now by the server and by all that this process has started."""
        server = find_server(self.folder / "postgres" / "cluster")
        return _cpu_seconds(psutil.Process()) + (_cpu_seconds(server) if server else 0.0)

    def checkpoint(self) -> None:
        """Write everything out now, so that no contender pays for another's changes."""
        with psycopg.connect(self._dsn, autocommit=True) as client:
            client.execute("CHECKPOINT")


class Database:
    """A contender's database seen from the measuring side."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._client = psycopg.connect(dsn, autocommit=True)

    def run(self, statement: str, *arguments: Any) -> None:
        """Run a statement."""
        self._client.execute(statement.encode(), arguments or None)

    def transaction(self) -> AbstractContextManager[object]:
        """One transaction around what is run inside."""
        return self._client.transaction()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the query gives."""
        return self._client.execute(statement.encode()).fetchall()

    def number(self, statement: str) -> int:
        """The one number that the query gives."""
        return int(self.rows(statement)[0][0])

    def close(self) -> None:
        """Let go of the database."""
        self._client.close()


def _cpu_seconds(process: psutil.Process) -> float:
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def python(*words: str) -> list[str]:
    """The command line for this Python."""
    return [sys.executable, *words]


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], copies: int = 1, log: Path | None = None
) -> Iterator[None]:
    """The command in the background, `copies` times; all their processes are gone afterwards."""
    output = subprocess.DEVNULL if log is None else os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        for _ in range(copies)
    ]
    try:
        yield
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                kill_trees([process.pid])
                process.wait()
        if log is not None:
            os.close(output)
