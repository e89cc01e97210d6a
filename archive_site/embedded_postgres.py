"""The zero-setup database, used while DATABASE_URL is unset: a PostgreSQL of our own inside the data folder.

    <data>/postgres/dsn           how to connect, password included, readable by its owner only
    <data>/postgres/cluster       PostgreSQL's data folder
    <data>/postgres/postgres.log  what the server says
    <data>/postgres/lock          held while somebody starts or stops it

Imports no Django: settings need the DSN before there are settings.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
from psycopg import sql

from archive_site.postgres_binaries import binaries_folder, binaries_for, exec_psql
from archive_site.postgres_cluster import NAME, Cluster, free_port, new_password, password_and_port
from archive_site.postgres_commands import server_command, set_password
from archive_site.postgres_process import (
    Account,
    EmbeddedPostgresError,
    account_for,
    end_orphans,
    find_server,
    is_alive,
    stale_pid_environment,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "binaries_folder", "exec_psql", "read_dsn"]

_READY_SECONDS = 60.0
_STOP_SECONDS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))


class _State(enum.Enum):
    READY = enum.auto()
    GONE = enum.auto()
    SLOW = enum.auto()


def read_dsn(data_folder: Path) -> str | None:
    """The DSN kept by the last start for this data folder, None when there never was one.

    Raises EmbeddedPostgresError when the file belongs to another account.
    """
    cluster = Cluster(data_folder)
    with cluster.explained():
        return cluster.read_dsn()


class EmbeddedPostgres:
    """The server for one data folder, started by us or by somebody else."""

    def __init__(self, data_folder: Path) -> None:
        self._cluster = Cluster(data_folder)
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Attach to the running server or start one; the DSN of a database that answers.

        Raises EmbeddedPostgresError when there can't be one.
        """
        cluster = self._cluster
        with cluster.explained():
            cluster.make_home()
            with cluster.locked():
                self._reap()
                cluster.check_usable()
                dsn = self._attach() or self._launch()
                _make_database(dsn)
                return dsn

    def stop(self) -> None:
        """Stop the server, whoever started it; nothing happens when there is none.

        Raises EmbeddedPostgresError when it survives even an immediate shutdown.
        """
        with self._cluster.explained():
            if not self._cluster.home.exists():
                return
            with self._cluster.locked():
                self._shut_down()

    def is_running(self) -> bool:
        """Whether the server lives, be it still starting.

        Raises EmbeddedPostgresError when that can't be seen.
        """
        with self._cluster.explained():
            self._reap()
            return find_server(self._cluster.folder) is not None

    def _attach(self) -> str | None:
        """The running server's DSN, None when there is none or it has just gone."""
        server = find_server(self._cluster.folder)
        if server is None:
            return None
        dsn = self._cluster.read_dsn()
        if dsn is None:
            raise EmbeddedPostgresError(
                f"{self._cluster.dsn_file} is missing while the server runs: put it back, or end the server "
                f"(kill -INT {server.pid}) and start again, which makes a new password."
            )
        state = self._wait(dsn, server, time.monotonic() + _READY_SECONDS)
        if state is _State.SLOW:
            raise self._too_slow()
        return dsn if state is _State.READY else None

    def _launch(self) -> str:
        account = account_for(self._cluster.folder, self._cluster.home)
        binaries = binaries_for(account)
        dsn = self._prepare(binaries, account)
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            password, port = password_and_port(dsn)
            if (chosen := free_port(port)) != port:
                dsn = self._cluster.write_dsn(password, chosen)
            said_before = self._spawn(server_command(binaries, self._cluster.folder, chosen), account)
            match self._wait_for_child(dsn, deadline):
                case _State.READY:
                    return dsn
                case _State.SLOW:
                    # Left alone: recovery goes on, and the next start attaches.
                    raise self._too_slow()
                case _State.GONE:
                    self._forgive(said_before, deadline)

    def _prepare(self, binaries: Path, account: Account) -> str:
        """The DSN for a cluster that is there and whose password we know."""
        cluster = self._cluster
        dsn = cluster.read_dsn()
        password = password_and_port(dsn)[0] if dsn else new_password()
        is_new = not cluster.folder.exists()
        if is_new:
            cluster.create(binaries, account, password)
        cluster.make_ready_for(account)
        if (cluster.folder / "postmaster.pid").exists():
            end_orphans(cluster.folder)
        if dsn is None and not is_new:
            set_password(cluster.folder, binaries, account, password)
        # After the password is in force: a crash in between only leads to another one.
        return dsn or cluster.write_dsn(password, free_port())

    def _spawn(self, command: list[str | Path], account: Account) -> int:
        """Start the server; the length its log had before."""
        log = self._cluster.open_log()
        try:
            before = os.fstat(log).st_size
            self._child = account.popen(
                command,
                folder=self._cluster.folder,
                stdout=log,
                own_session=True,
                environment=stale_pid_environment(self._cluster.folder),
            )
        finally:
            os.close(log)
        return before

    def _wait_for_child(self, dsn: str, deadline: float) -> _State:
        child = self._child
        if child is None or child.poll() is not None:
            return _State.GONE
        try:
            return self._wait(dsn, psutil.Process(child.pid), deadline)
        except psutil.NoSuchProcess:
            return _State.GONE
        except BaseException:
            self._shut_down()
            raise

    def _wait(self, dsn: str, server: psutil.Process, deadline: float) -> _State:
        """Until the server answers, ends, or the time is over.

        Raises EmbeddedPostgresError when the server refuses our password.
        """
        while time.monotonic() < deadline:
            try:
                _connect(dsn).close()
            except psycopg.OperationalError as error:
                if "authentication failed" in str(error) and is_alive(server):
                    raise EmbeddedPostgresError(
                        f"The database refuses the password in {self._cluster.dsn_file}: put the right one "
                        "back, or delete the file while the server is stopped, which makes a new password."
                    ) from None
            else:
                return _State.READY
            self._reap()
            if not is_alive(server):
                return _State.GONE
            time.sleep(0.02)
        return _State.SLOW

    def _forgive(self, said_before: int, deadline: float) -> None:
        """Return when another try may succeed. Raises EmbeddedPostgresError when not."""
        said = self._log_from(said_before)
        passing = "Address already in use" in said or "pre-existing shared memory block" in said
        if not passing or time.monotonic() > deadline:
            raise self._failed("PostgreSQL ended while starting", said)
        end_orphans(self._cluster.folder)
        time.sleep(0.05)

    def _shut_down(self) -> None:
        self._reap()
        server = find_server(self._cluster.folder)
        if server is None and self._child is not None:
            # Just started, it hasn't written its pid file.
            server = psutil.Process(self._child.pid)
        for number, seconds in _STOP_SECONDS:
            if server is None:
                return
            with contextlib.suppress(psutil.NoSuchProcess):
                server.send_signal(number)
            deadline = time.monotonic() + seconds
            while is_alive(server) and time.monotonic() < deadline:
                self._reap()
                time.sleep(0.01)
            if not is_alive(server):
                self._reap()
                return
        if server is not None:
            raise EmbeddedPostgresError(f"PostgreSQL (pid {server.pid}) doesn't end: kill -9 it and start again.")

    def _reap(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None

    def _too_slow(self) -> EmbeddedPostgresError:
        what = f"PostgreSQL doesn't answer after {_READY_SECONDS:.0f} s (it may be recovering: try again)"
        return self._failed(what, self._log_from(0))

    def _failed(self, what: str, said: str) -> EmbeddedPostgresError:
        lines = "\n".join(said.strip().splitlines()[-8:])
        return EmbeddedPostgresError(f"{what}; {self._cluster.log} ends with:\n{lines}")

    def _log_from(self, start: int) -> str:
        try:
            with self._cluster.log.open("rb") as file:
                # The end is enough, and the log may be large.
                file.seek(max(start, self._cluster.log.stat().st_size - 65536))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def _connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection to the maintenance database, which is there from the first moment on.

    The server must prove that it knows the password: whoever else listens on that port is never told it.
    """
    return psycopg.connect(dsn, dbname="postgres", connect_timeout=5, require_auth="scram-sha-256", autocommit=True)


def _make_database(dsn: str) -> None:
    with _connect(dsn) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, (NAME,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
