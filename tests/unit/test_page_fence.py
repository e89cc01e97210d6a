"""The process that reads pages can do nothing else."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCED = """
import ctypes, os, pathlib, socket, subprocess, sys
from queue_app.downloaders.page_child import fence
fence(int(sys.argv[1]), 1024**3)
try:
    ATTEMPT
except (OSError, MemoryError) as error:
    print(type(error).__name__)
"""


def outcome(attempt: str, port: int = 9, *words: str) -> str:
    """What this line of Python comes to behind the fence: the error's name, or nothing."""
    program = FENCED.replace("ATTEMPT", attempt)
    arguments = [sys.executable, "-c", program, str(port), *words]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('127.0.0.1', 10))", "socket.create_connection(('127.0.0.2', 9))",
        "socket.socket(socket.AF_INET6).connect(('::1', 9))", "socket.getaddrinfo('localhost', 9)",
        "socket.gethostbyname('localhost')",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
        "subprocess.run(['true'])", "os.system('true')", "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])", "os.fork()",
    ],
)  # fmt: skip
def test_it_reaches_nothing_and_starts_nothing(attempt: str) -> None:
    assert outcome(attempt) == "PermissionError"


def test_it_writes_no_file(tmp_path: Path) -> None:
    # Python ignores SIGXFSZ, so the limit is an error (setrlimit(2)).
    assert outcome("pathlib.Path(sys.argv[2]).write_bytes(b'x')", 9, str(tmp_path / "x")) == "OSError"


def test_it_takes_no_more_memory_than_it_may() -> None:
    assert outcome("bytearray(2 * 1024**3)") == "MemoryError"


def test_it_reaches_the_guard_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as guard:
        assert outcome(f"socket.create_connection({guard.getsockname()})", guard.getsockname()[1]) == ""
