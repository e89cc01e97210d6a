"""The optional browser extra: a page is watched in Chromium until it fetches its video."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from archive_site.guard_proxy import GuardProxy
from archive_site.process_tree import kill_trees
from queue_app.downloaders import child
from queue_app.downloaders.base import ProgressSink

log = logging.getLogger(__name__)

MISSING = "the browser extra, which pages built by scripts need, is not installed (Playwright and Chromium)"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CLOSING_SECONDS = 3.0
_MEMORY = 3 * 1024**3


def find(browser: str = "") -> str | None:
    """The Chromium to use: `browser` (a path), else the one on PATH; None without it or without Playwright."""
    if importlib.util.find_spec("playwright") is None:
        return None
    if browser:
        return browser if os.access(browser, os.X_OK) else None
    return next((path for path in map(shutil.which, _PROGRAMS) if path), None)


def watch(url: str, guard: GuardProxy, program: str, progress: ProgressSink, seconds: float) -> dict[str, Any]:
    """What `browser_child` found at `url`. Raises `child.ChildFailed`, and what `progress` raises.

    Chromium's own sandbox is on, but for root, whom Chromium grants none, and where the host has none to offer, which
    is logged. Its profile and whatever it has started are gone at the end.
    """
    until = time.monotonic() + seconds
    sandbox = os.geteuid() != 0
    reply = _watch(url, guard, program, progress, until, sandbox=sandbox)
    if sandbox and reply.get("failure") == "no_sandbox":
        _warn_of_no_sandbox()
        reply = _watch(url, guard, program, progress, until, sandbox=False)
    return reply


@functools.cache
def _warn_of_no_sandbox() -> None:
    """Once in the life of the worker."""
    log.warning(
        "This host gives Chromium no user namespaces, so pages are watched without its sandbox. Allow workers "
        "unprivileged user namespaces, or install Chromium's setuid sandbox helper."
    )


def _watch(
    url: str, guard: GuardProxy, program: str, progress: ProgressSink, until: float, *, sandbox: bool
) -> dict[str, Any]:
    # Not in the job's folder: a Unix socket's path may have 107 characters (unix(7)), and Chromium needs one.
    folder = Path(tempfile.mkdtemp(prefix="reelkeep-browser-"))
    request = {
        "url": url,
        "program": program,
        "server": guard.server,
        "username": guard.username,
        "password": guard.password,
        "until": until - _CLOSING_SECONDS,  # one clock for all processes (clock_gettime(2))
        "folder": str(folder),
        "sandbox": sandbox,
    }
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "TMPDIR": str(folder)}
    try:
        return child.ask(
            "queue_app.downloaders.browser_child",
            request,
            seconds=until - time.monotonic(),
            memory=_MEMORY,
            progress=progress,
            environment=environment,
        )
    finally:
        kill_those_in(folder)
        shutil.rmtree(folder, ignore_errors=True)


def kill_those_in(folder: Path) -> None:
    """End every process whose command line names `folder`: Chromium leaves its parent's process group."""
    doomed = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()):
            doomed.append(process.pid)
    kill_trees(doomed)
