"""Asking the resolvers, one after the other, until one knows a URL that may be given out."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from archive_site.safe_http import AddressRefused, resolve_and_check
from queue_app.resolvers import Context, NoVideo, Resolved, plugin
from queue_app.resolvers.direct import direct
from queue_app.resolvers.page import yt_dlp
from storage_app.playback.signing import MAX_URL

FIRST, LAST = "direct", "yt-dlp"
_BUNDLED: dict[str, Callable[[str, Context], Resolved | None]] = {FIRST: direct, LAST: yt_dlp}
_ERROR_LENGTH = 2000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The URL and who found it; or no URL, and why."""

    url: str | None
    resolver: str = ""
    error: str = ""
    seconds: float | None = None
    """For how long the URL is good, where that is known."""


def names() -> list[str]:
    """Of all resolvers, in the order in which they are asked where no other is set."""
    return [FIRST, *(name for name in plugin.installed() if name not in _BUNDLED), LAST]


def ask(url: str, context: Context, order: Sequence[str]) -> Outcome:
    """The first good answer. Raises nothing: what goes wrong with one is noted, and the next one is asked."""
    deadline = time.monotonic() + context.seconds
    reasons = []
    for name in order:
        left = deadline - time.monotonic()
        if left <= 0:
            reasons.append("the time is over")
            break
        try:
            found = _ask_one(name, url, replace(context, seconds=left))
        except NoVideo as none:
            reasons.append(f"{name}: {none}")
        else:
            if found is not None:
                return Outcome(found.url, name, seconds=found.seconds)
            reasons.append(f"{name}: not for it")
    return Outcome(None, error="; ".join(reasons)[:_ERROR_LENGTH])


def _ask_one(name: str, url: str, context: Context) -> Resolved | None:
    """A checked answer. Raises NoVideo alone."""
    resolver = _BUNDLED.get(name)
    if resolver is None:
        if name not in plugin.installed():
            raise NoVideo("there is no resolver of this name")
        resolver = functools.partial(plugin.run, name)
    try:
        found = resolver(url, context)
    except NoVideo:
        raise
    except Exception:
        logger.exception("The resolver %s failed in a way that it shouldn't.", name)
        raise NoVideo("it failed in a way that it shouldn't; the server's log says more") from None
    if found is not None:
        _check(found.url, context)
    return found


def _check(url: str, context: Context) -> None:
    if not 1 <= len(url) <= MAX_URL:
        raise NoVideo(f"its answer has {len(url)} characters; a URL may have {MAX_URL}")
    try:
        resolve_and_check(url, context.policy)
    except AddressRefused as refusal:
        raise NoVideo(f"its answer may not be fetched. {refusal}") from None
