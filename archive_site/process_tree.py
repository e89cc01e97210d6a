"""Processes that don't outlive their parent, and a way to end a whole tree of them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable

import psutil

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(signum: signal.Signals = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Have the kernel send this process `signum` when its parent ends (Linux; elsewhere nothing happens).

    `parent` is who the parent should be: if it has died before this call, this process ends at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signum)


def kill_trees(pids: Iterable[int]) -> None:
    """SIGKILL these processes and all that they have started, children first noted, and wait until they are gone."""
    doomed: list[psutil.Process] = []
    for pid in pids:
        try:
            parent = psutil.Process(pid)
            doomed += [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for process in doomed:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(doomed, timeout=5)
