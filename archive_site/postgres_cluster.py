"""The embedded database's folder: `<data>/postgres` with the cluster, the DSN, the log and the lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import re
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

from archive_site.postgres_binaries import MAJOR
from archive_site.postgres_commands import ROLE, initdb
from archive_site.postgres_process import HOST, Account, EmbeddedPostgresError

NAME = ROLE  # of the database

_DSN = re.compile(rf"postgresql://{NAME}:(?P<password>[\w-]+)@127\.0\.0\.1:(?P<port>[0-9]+)/{NAME}")
_LOCK_SECONDS = 180
_LOG_LIMIT = 10 * 1024 * 1024
_TIGHT_DISK = 64 * 1024 * 1024
_FRESH_PREFIX = "cluster.new-"


class Cluster:
    """Paths and files of one embedded database; knows nothing of running servers."""

    def __init__(self, data_folder: Path) -> None:
        self.data_folder = data_folder.absolute()
        self.home = self.data_folder / "postgres"
        self.folder = self.home / "cluster"
        self.log = self.home / "postgres.log"
        self.dsn_file = self.home / "dsn"

    def make_home(self) -> None:
        """Create `<data>/postgres`; root leaves it to the data folder's owner.

        Raises OSError when it can't be made.
        """
        self.data_folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.home.mkdir(mode=0o700)
            self._hand_over(self.home, self.data_folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that start and stop take.

        Raises EmbeddedPostgresError when another process keeps it, OSError when it can't be opened.
        """
        lock = self._open(self.home / "lock", os.O_RDWR)
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while not _try_lock(lock):
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"Another process has been starting or stopping the database in {self.home} for "
                        f"{_LOCK_SECONDS} s: end it (`fuser {self.home / 'lock'}` shows it) and try again."
                    )
                time.sleep(0.02)
            yield
        finally:
            os.close(lock)

    def read_dsn(self) -> str | None:
        """The kept DSN; None when there is none or it isn't one of ours. Raises OSError when unreadable."""
        try:
            text = self.dsn_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        return text if _DSN.fullmatch(text) else None

    def write_dsn(self, password: str, port: int) -> str:
        """Replace the DSN file in one step. Raises OSError when it can't be written."""
        dsn = f"postgresql://{NAME}:{password}@{HOST}:{port}/{NAME}"
        fresh = self.home / "dsn.new"
        fresh.unlink(missing_ok=True)
        with os.fdopen(self._open(fresh, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as file:
            file.write(dsn + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.dsn_file)
        _sync_folder(self.home)
        return dsn

    def open_log(self) -> int:
        """The log, to be appended to; a large one is put aside, in place of the one before."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))
        return self._open(self.log, os.O_RDWR | os.O_APPEND)

    def check_usable(self) -> None:
        """Raises EmbeddedPostgresError when the cluster is another PostgreSQL's or another account's."""
        if not self.folder.exists():
            return
        owner = self.folder.stat().st_uid
        if os.geteuid() not in (0, owner):
            raise EmbeddedPostgresError(self._not_ours(owner))
        try:
            found = (self.folder / "PG_VERSION").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            found = "none"
        if found != str(MAJOR):
            raise EmbeddedPostgresError(
                f"The database in {self.folder} has PostgreSQL version {found}, but Reelkeep carries "
                f"{MAJOR}. With the Reelkeep that made it, dump it with pg_dump; then move the folder away, "
                "start this one and load the dump. Or restore the folder from a backup."
            )

    def create(self, binaries: Path, account: Account, password: str) -> None:
        """Make the cluster; it gets its name only when it is whole.

        Raises EmbeddedPostgresError when `initdb` fails, OSError when the folder can't be written.
        """
        for left in self.home.glob(f"{_FRESH_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=_FRESH_PREFIX, dir=self.home))
        try:
            if account.uid is not None and account.gid is not None:
                os.chown(fresh, account.uid, account.gid)
            initdb(fresh, binaries, account, password)
            fresh.rename(self.folder)
            _sync_folder(self.home)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def make_ready_for(self, account: Account) -> None:
        """Undo what a restored backup does to a cluster: open modes, and everything root's."""
        if self.folder.stat().st_mode & 0o027:
            self.folder.chmod(0o700)
        if account.uid is None or account.gid is None or self.folder.stat().st_uid != 0:
            return
        for path in (*self.folder.rglob("*"), self.folder):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the operating system's refusals into EmbeddedPostgresError."""
        try:
            yield
        except EmbeddedPostgresError as error:
            if hint := self._disk_hint():
                raise EmbeddedPostgresError(f"{error}{hint}") from error
            raise
        except PermissionError as error:
            raise EmbeddedPostgresError(self._not_ours(_owner_of(self.home), error)) from error
        except (OSError, psutil.Error, psycopg.Error, subprocess.SubprocessError) as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = "free some space" if full else "see to that"
            raise EmbeddedPostgresError(
                f"The embedded database in {self.home} can't be used: {error}: {hint} and try again, "
                "or set DATABASE_URL."
            ) from error

    def _disk_hint(self) -> str:
        try:
            free = shutil.disk_usage(self.home).free
        except OSError:
            return ""
        return "" if free > _TIGHT_DISK else f"\nIts disk has only {free >> 20} MB left: free some space."

    def _open(self, path: Path, flags: int) -> int:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._hand_over(descriptor, self.home)
        return descriptor

    @staticmethod
    def _hand_over(what: int | Path, like: Path) -> None:
        """What root makes in somebody's folder stays usable to them."""
        if os.geteuid() == 0:
            owner = like.stat()
            os.chown(what, owner.st_uid, owner.st_gid)

    def _not_ours(self, owner: int | None, error: OSError | None = None) -> str:
        me = os.geteuid()
        why = f" ({error})" if error else ""
        if owner is None or owner == me:
            return (
                f"The embedded database's folder {self.home} can't be used by {_name(me)}{why}: make it "
                "writable for that account, set REELKEEP_DATA to another folder, or set DATABASE_URL."
            )
        return (
            f"The embedded database in {self.home} belongs to {_name(owner)}, but this is {_name(me)}{why}: "
            f"run Reelkeep as the account that made it, or hand it over while it is stopped (as root: "
            f"chown -R {_name(me)} {self.home})."
        )


def new_password() -> str:
    """A random password that needs no quoting in a DSN."""
    return secrets.token_urlsafe(24)


def password_and_port(dsn: str) -> tuple[str, int]:
    """The two parts of a kept DSN that differ. Raises ValueError for any other DSN."""
    match = _DSN.fullmatch(dsn)
    if match is None:
        raise ValueError("not a DSN of the embedded database")
    return match["password"], int(match["port"])


def free_port(wanted: int = 0) -> int:
    """The wanted loopback port if nobody listens on it, else any free one."""
    with socket.socket() as probe:
        # As PostgreSQL does: connections of a server just gone must not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
            probe.listen(1)
        except (OSError, OverflowError):
            if wanted == 0:
                raise
        else:
            return int(probe.getsockname()[1])
    return free_port()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _owner_of(folder: Path) -> int | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_uid if stat.S_ISDIR(status.st_mode) else None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
