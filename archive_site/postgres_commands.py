"""The three ways the embedded PostgreSQL's programs are called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from archive_site.postgres_process import (
    HOST,
    Account,
    EmbeddedPostgresError,
    data_argument,
    stale_pid_environment,
)

ROLE = "reelkeep"

_SECONDS = 180
_QUIET = {
    # Why a start failed is recognised by the message.
    "lc_messages": "C",
    # Statements and their details carry values: tokens, addresses of videos.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path is limited to some 100 characters, a data folder's isn't.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "log_checkpoints": "off",
    **_QUIET,
}


def server_command(binaries: Path, cluster: Path, port: int) -> list[str | Path]:
    """The command line of the server; it holds no secret."""
    return [binaries / "postgres", "-D", data_argument(cluster), "-p", str(port), *_options(_SETTINGS)]


def initdb(folder: Path, binaries: Path, account: Account, password: str) -> None:
    """Make a cluster in the empty folder. Raises EmbeddedPostgresError with initdb's last lines."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb") as pipe:
        if account.uid is not None:
            # /dev/fd opens the pipe anew, as that account.
            os.fchown(reader, account.uid, -1)
        pipe.write(password.encode() + b"\n")
        pipe.flush()
        program = account.popen(
            [
                *(binaries / "initdb", "-D", data_argument(folder), "-U", ROLE, "-E", "UTF8"),
                *("--auth=scram-sha-256", f"--pwfile=/dev/fd/{reader}", "--data-checksums"),
                *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"),
            ],
            folder=folder,
            stdout=subprocess.PIPE,
            pass_fds=[reader],
        )
        _finish(program, None, "initdb could not make the database")


def set_password(folder: Path, binaries: Path, account: Account, password: str) -> None:
    """Give the role a new password while no server runs. Raises EmbeddedPostgresError when that fails."""
    program = account.popen(
        [binaries / "postgres", "--single", "-D", data_argument(folder), *_options(_QUIET), "postgres"],
        folder=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        environment=stale_pid_environment(folder),
    )
    statement = f"ALTER ROLE {ROLE} PASSWORD '{password}'\n".encode()
    _finish(program, statement, "PostgreSQL could not set a new password")


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _finish(program: subprocess.Popen[bytes], written: bytes | None, failed: str) -> None:
    try:
        output = program.communicate(written, timeout=_SECONDS)[0]
    finally:
        program.kill()
        program.wait()
    if program.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()[-8:]
        raise EmbeddedPostgresError("\n".join([f"{failed}:", *lines]))
