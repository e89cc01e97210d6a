"""Runs one plug-in's resolver, in the process that `plugin.run` starts for it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from archive_site.safe_http import Policy
from queue_app.downloaders import child
from queue_app.resolvers import GROUP, Context, NoVideo, Resolved

URL_LENGTH = 64 * 1024
"""What is longer isn't handed on at all; the caller is stricter."""


def answer_to(request: Mapping[str, Any]) -> dict[str, Any]:
    """The plug-in's answer in JSON's types: `url` (and perhaps `seconds`), or `failure`."""
    [point] = [point for point in entry_points(group=GROUP) if point.name == request["name"]][:1]
    try:
        found = point.load()(request["url"], _context(request))
    except NoVideo as none:
        return {"failure": str(none)}
    except Exception as error:  # noqa: BLE001 - whatever somebody else's code raises
        traceback.print_exc()
        return {"failure": f"it raised {type(error).__name__}: {str(error)[:500]}"}
    return _in_json(found)


def _context(request: Mapping[str, Any]) -> Context:
    told = dict(request["policy"])
    told["allow_hosts"] = frozenset((host, port) for host, port in told["allow_hosts"])
    return Context(Policy(**told), request["resolution"], request["seconds"])


def _in_json(found: object) -> dict[str, Any]:
    resolved = Resolved(found) if isinstance(found, str) else found
    if resolved is None:
        return {"url": None}
    if not isinstance(resolved, Resolved) or not isinstance(resolved.url, str):
        return {"failure": f"it returned a {type(found).__name__}, which is no URL"}
    if len(resolved.url) > URL_LENGTH:
        return {"failure": f"it returned {len(resolved.url)} characters, which are no URL"}
    seconds = resolved.seconds
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < float("inf")
    return {"url": resolved.url, "seconds": seconds if known else None}


def main() -> None:
    """Answer, and be gone, whatever threads the plug-in has left."""
    request = child.begin()
    # What the plug-in prints is for the log: the answer has the real output to itself.
    output = os.dup(1)
    os.dup2(2, 1)
    reply = answer_to(request)
    sys.stdout.flush()
    os.dup2(output, 1)
    child.answer(reply)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
