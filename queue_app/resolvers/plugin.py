"""Resolvers of other packages: found by their entry points, run in processes of their own."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import asdict
from importlib.metadata import EntryPoint, entry_points

from queue_app.downloaders import child
from queue_app.resolvers import GROUP, Context, NoVideo, Resolved

MEMORY = 512 * 1024 * 1024
_PASSED_ON = {"PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_OWN = "RESOLVER_"
"""Variables that begin with it are the plug-ins' own settings; none of Reelkeep's reaches them."""


@functools.cache
def installed() -> dict[str, EntryPoint]:
    """The entry points of the group by name, read once. Nothing of theirs is imported here."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def run(name: str, url: str, context: Context) -> Resolved | None:
    """What the plug-in of this name says. Raises NoVideo when it fails, hangs or says something odd."""
    policy = {**asdict(context.policy), "allow_hosts": sorted(context.policy.allow_hosts)}
    request = {
        "name": name, "url": url, "resolution": context.resolution, "seconds": context.seconds, "policy": policy,
        "proxy": context.policy.proxy or "",
    }  # fmt: skip
    try:
        reply = child.ask(
            "queue_app.resolvers.plugin_child",
            request,
            seconds=context.seconds,
            memory=MEMORY,
            progress=lambda _done, _total: None,
            environment=_environment(),
        )
    except child.ChildFailed as failed:
        raise NoVideo(str(failed)) from failed
    if "failure" in reply:
        raise NoVideo(child.speakable(str(reply["failure"]).encode(), request))
    found, seconds = reply.get("url"), reply.get("seconds")
    if found is None:
        return None
    return Resolved(str(found), seconds if isinstance(seconds, int | float) else None)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith(_OWN)}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
