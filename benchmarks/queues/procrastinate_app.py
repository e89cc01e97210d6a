"""The job that does nothing, for procrastinate."""

from __future__ import annotations

import os

from procrastinate import App, PsycopgConnector

from benchmarks.queues.started import tell_started

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


async def _nothing() -> None:
    tell_started()


noop = app.task(name="noop")(_nothing)
