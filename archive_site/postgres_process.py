"""Whom the embedded PostgreSQL runs as, and which living process it is."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

ACCOUNT_VARIABLE = "REELKEEP_POSTGRES_USER"
HOST = "127.0.0.1"

_ORPHAN_SECONDS = 5.0
_CWD_LINK = Path("/proc/self/cwd")
# No more is handed on: the environment may hold tokens, and PG* variables would change the server.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")


class EmbeddedPostgresError(Exception):
    """The embedded database can't do what was asked; the message says what happened and what to do."""


@dataclass(frozen=True)
class Account:
    """Whom the server's processes run as; without a uid, as ourselves."""

    uid: int | None = None
    gid: int | None = None

    def popen(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        stdout: int | IO[bytes],
        own_session: bool = False,
        pass_fds: Sequence[int] = (),
        stdin: int = subprocess.DEVNULL,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the command inside `folder`.

        `chdir` comes before the change of account, which need not be able to reach the folder by its path.

        Raises OSError when it can't be executed.
        """
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            umask=0o077,
            start_new_session=own_session,
            pass_fds=pass_fds,
            env={**kept, "LC_ALL": "C", **(environment or {})},
        )


def data_argument(folder: Path) -> str:
    """The `-D` for a command whose working directory is `folder`.

    The link spares the account the walk through parents that may be closed to it; only Linux has it.
    """
    return str(_CWD_LINK) if _CWD_LINK.exists() else str(folder)


def account_for(cluster: Path, home: Path) -> Account:
    """The account for the database in `cluster`: ourselves, or as root an unprivileged one.

    PostgreSQL demands that a cluster's owner runs it, so an existing cluster decides.

    Raises EmbeddedPostgresError when the account named in the environment can't be used, or there is none.
    """
    if os.geteuid() != 0:
        return Account()
    if (owner := _owner(cluster)) is not None:
        return owner
    if name := os.environ.get(ACCOUNT_VARIABLE, "").strip():
        return _named(name)
    if (owner := _owner(home)) is not None and _has_name(owner):
        return owner
    for name in ("postgres", "nobody"):
        try:
            return _named(name)
        except EmbeddedPostgresError:
            continue
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and there is neither an account postgres nor nobody: "
        f"set {ACCOUNT_VARIABLE} to an unprivileged account, or set DATABASE_URL."
    )


def find_server(cluster: Path) -> psutil.Process | None:
    """The living postmaster of this cluster, None when there is none."""
    process = named_process(cluster)
    return process if process is not None and serves(process, cluster) else None


def named_process(cluster: Path) -> psutil.Process | None:
    """The process that `postmaster.pid` names, whatever it is by now."""
    try:
        # A single-user backend notes its pid with a minus sign.
        pid = abs(int((cluster / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]))
        return psutil.Process(pid)
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


def stale_pid_environment(cluster: Path) -> dict[str, str]:
    """What makes PostgreSQL start although another process has the pid left in `postmaster.pid`.

    It takes any living process of that pid for the old server, except its own parent, and its grandparent,
    which it learns from this variable.
    """
    process = named_process(cluster)
    return {} if process is None else {"PG_GRANDPARENT_PID": str(process.pid)}


def serves(process: psutil.Process, cluster: Path) -> bool:
    """Whether the process is a living PostgreSQL process that works in this cluster."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            return False
        owner = cluster.stat().st_uid
        return process.uids().real == owner and cluster.samefile(_working_directory(process))
    except (FileNotFoundError, psutil.NoSuchProcess):
        return False


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie that nobody has reaped doesn't."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_orphans(cluster: Path) -> None:
    """End what outlived a killed postmaster and still holds its shared memory, as a busy query does.

    Only to be called while no postmaster lives.
    """
    orphans = [process for process in psutil.process_iter() if serves(process, cluster)]
    for process in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while any(is_alive(process) for process in orphans) and time.monotonic() < deadline:
        time.sleep(0.02)


def _working_directory(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.AccessDenied:
        if os.geteuid() != 0:
            raise
    # Root in a container mostly lacks CAP_SYS_PTRACE, which the look at another account's process needs.
    account = Account(process.uids().real, process.gids().real)
    link = account.popen(["readlink", f"/proc/{process.pid}/cwd"], folder=Path("/"), stdout=subprocess.PIPE)
    answer = link.communicate(timeout=10)[0]
    if link.returncode != 0:
        raise FileNotFoundError(process.pid)
    return os.fsdecode(answer.removesuffix(b"\n"))


def _owner(folder: Path) -> Account | None:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return Account(status.st_uid, status.st_gid) if status.st_uid != 0 else None


def _has_name(account: Account) -> bool:
    """Whether `initdb` would accept it: it looks its own account up."""
    try:
        pwd.getpwuid(account.uid or 0)
    except KeyError:
        return False
    return True


def _named(name: str) -> Account:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise EmbeddedPostgresError(
            f"There is no account {name!r} to run PostgreSQL as: set {ACCOUNT_VARIABLE} to an existing one."
        ) from None
    if entry.pw_uid == 0:
        raise EmbeddedPostgresError(
            f"{ACCOUNT_VARIABLE}={name}: PostgreSQL refuses to run as root; name an unprivileged account."
        )
    return Account(entry.pw_uid, entry.pw_gid)
