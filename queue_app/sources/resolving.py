"""Resolving with a cache that all processes share: one run for each URL, however many viewers ask.

A run happens in a thread of its own and holds no database connection meanwhile. Whoever asks waits for it as long as
it likes; the run goes on without it and leaves its result for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection

from archive_site.database_threads import in_database_from_thread
from archive_site.safe_http import Policy, display_url
from queue_app.fetching import fetch_policy
from queue_app.resolvers import Context, asking
from queue_app.sources.runs import Run, Runs
from queue_app.sources.wanted import Wanted

GOOD_FOR = timedelta(minutes=20)
FAILED_FOR = timedelta(minutes=2)
STALE_FOR = timedelta(hours=2)
"""An old answer does so long for those who come while another one is asking anew."""
_LEAST = timedelta(seconds=30)
_PATIENCE = 3
"""A run may take so many times as long as a viewer waits."""
_LEASE_MARGIN = 30.0
_POLL_SECONDS = (0.1, 2.0)
"""While another process is at it: the first pause, and the longest."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What the cache says: a URL (None: there is none), whether it is still good, and whether somebody asks anew."""

    url: str | None = None
    fresh: bool = False
    asking: bool = False

    @property
    def good_enough(self) -> bool:
        """Is there no need to wait?"""
        return self.fresh or (self.asking and self.url is not None)


async def resolved(wanted: Mapping[Wanted, Known], seconds: float | None = None) -> dict[Wanted, str | None]:
    """The URL of each; None where there is none, or none in time: RESOLVE_SECONDS, or `seconds`.

    Where it takes longer, an old answer does, if there is one.
    """
    answers = {one: known.url for one, known in wanted.items()}
    late = {one for one, known in wanted.items() if known.good_enough or (known.url is not None and one in _runs)}
    runs = {one: _runs.join(one) for one in wanted if one not in late}
    if not runs:
        return answers
    patience = settings.RESOLVE_SECONDS if seconds is None else seconds
    try:
        await asyncio.wait([asyncio.wrap_future(run.result) for run in runs.values()], timeout=patience)
    finally:
        for run in runs.values():
            _runs.leave(run)
    return answers | {one: run.result.result() for one, run in runs.items() if run.result.done()}


def start(wanted: Wanted, *, anew: bool = False) -> Future[str | None]:
    """Resolves in another thread, unless this process is at it already. The result is the URL, or None.

    It never has an exception. With `anew` an answer that is still good is not good enough.
    """
    return _runs.join(wanted, anew=anew).result


def known(wanted: Collection[Wanted]) -> dict[Wanted, Known]:
    """What the cache says of each."""
    rows = _rows(_KNOWN, STALE_FOR, [one.key for one in wanted])
    found = {key: Known(*rest) for key, *rest in rows}
    return {one: found.get(one.key, Known()) for one in wanted}


def forget(wanted: Wanted, dead: str) -> None:
    """That it was resolved to this URL, which is dead. One that was only just found stays: asking anew won't help."""
    _rows(_FORGOTTEN, wanted.key, dead, _LEAST)


_FORGOTTEN = """
UPDATE resolved_source SET url_resolved = NULL, expires_at = now()
WHERE key = %s AND url_resolved = %s AND resolved_at < now() - %s RETURNING key
"""
_KNOWN = """
SELECT key, CASE WHEN resolved_at > now() - %s THEN url_resolved END,
       coalesce(expires_at > now(), false), coalesce(lease_expires_at > now(), false)
FROM resolved_source WHERE key = ANY (%s)
"""


def _run(run: Run) -> str | None:
    """Resolves, or waits for another process that does."""
    wanted, seconds = run.wanted, settings.RESOLVE_SECONDS * _PATIENCE
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            token = _apart(lambda: _claim(wanted, seconds, anew=run.anew))
            if token is not None:
                return _resolve(run, token, seconds)
            found = _awaited(run, deadline)
            if found.good_enough:
                return found.url
    except Exception:
        # Nobody's response may fail of it.
        logger.exception("A source of %s can't be resolved.", display_url(wanted.url))
    return None


def _awaited(run: Run, deadline: float) -> Known:
    """What is known when nobody is at it any more, when an old answer does, or at the deadline."""
    pause, longest = _POLL_SECONDS
    while True:
        found = in_database_from_thread(lambda: known([run.wanted])[run.wanted])
        left = deadline - time.monotonic()
        if not found.asking or left <= 0 or (found.good_enough and not run.anew):
            return found
        time.sleep(min(pause, left))
        pause = min(2 * pause, longest)


def _resolve(run: Run, token: UUID, seconds: float) -> str | None:
    """The URL that is good now. Where there is no new one, the old one does for a while, unless it was asked anew."""
    wanted = run.wanted
    order = [wanted.resolver] if wanted.resolver else settings.RESOLVERS or asking.names()
    outcome = asking.ask(wanted.url, Context(_policy(seconds), wanted.resolution, seconds), order)
    keep = FAILED_FOR if outcome.url is None else GOOD_FOR
    if outcome.seconds is not None:
        keep = max(_LEAST, min(keep, timedelta(seconds=min(outcome.seconds, 86_400))))
    old = _apart(lambda: _finish(wanted, token, outcome, keep))
    return outcome.url or (None if run.anew else old)


def _policy(seconds: float) -> Policy:
    """A viewer waits: nobody is as patient as a download is."""
    return replace(
        fetch_policy(), connect_timeout=min(5.0, seconds), first_byte_timeout=min(10.0, seconds),
        head_timeout=min(15.0, seconds), read_timeout=min(10.0, seconds), slow_seconds=min(10.0, seconds),
    )  # fmt: skip


def _claim(wanted: Wanted, seconds: float, *, anew: bool) -> UUID | None:
    lease = timedelta(seconds=seconds + _LEASE_MARGIN)
    token = _rows("SELECT claim_resolving(%s, %s, %s, %s)", wanted.key, wanted.url, lease, anew)[0][0]
    return token if isinstance(token, UUID) else None


def _finish(wanted: Wanted, token: UUID, outcome: asking.Outcome, keep: timedelta) -> str | None:
    """Keeps it. The URL that is known now."""
    statement = "SELECT finish_resolving(%s, %s, %s, %s, %s, %s)"
    _rows(statement, wanted.key, token, outcome.url, outcome.resolver, outcome.error, keep)
    return known([wanted])[wanted].url


def _apart(work: Callable[[], T]) -> T:
    """On a connection that isn't kept: resolving takes seconds, and there may be many at it."""
    try:
        return work()
    finally:
        connection.close()


def _rows(statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


_runs = Runs(_run)
