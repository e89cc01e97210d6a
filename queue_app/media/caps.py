"""How much of this host a program may take while it reads a file that came from outside."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

GIB = 1024**3

# POSIX sh knows `ulimit -v` (KiB) on every system that limits the address space; where there is no such limit or a
# stricter one, it stays as it is. sh and nice are replaced by the program: one process id, no gap before the limit.
_CONFINE = 'ulimit -v "$1" 2>/dev/null; n=$2; shift 2; exec nice -n "$n" "$@"'


def _two_cores_at_most() -> int:
    return min(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Caps:
    """Bounds on one run of a program."""

    memory: int = 4 * GIB
    """Bytes of address space (RLIMIT_AS); 0 is no bound. With two threads 1080p decodes in 0.1 GiB, 8K in 1."""
    nice: int = 10
    """Added to this process's nice value."""
    threads: int = _two_cores_at_most()
    """Decoders' threads."""
    max_pixels: int = 8192 * 8192
    """Largest picture, 67 million: above the largest level of H.264, HEVC and AV1 (7680×4320, 8192×4352)."""
    max_side: int = 16384
    """Longest side of a picture in pixels."""
    max_streams: int = 100
    """Most streams in a file."""


def confined(args: list[str], caps: Caps) -> list[str]:
    """`args` so that the program dies with this process and keeps to `caps`."""
    limit = str(caps.memory // 1024) if caps.memory else "unlimited"
    return [*_die_with_parent(), "/bin/sh", "-c", _CONFINE, "sh", limit, str(caps.nice), *args]


@functools.cache
def _die_with_parent() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv is None or not sys.platform.startswith("linux"):
        return ()
    wrapper = (setpriv, "--pdeathsig", "KILL", "--")
    # BusyBox has a setpriv without this option.
    works = subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode == 0
    return wrapper if works else ()
