"""The job that does nothing, for procrastinate."""

from __future__ import annotations

import os

from procrastinate import App, PsycopgConnector

from benchmarks.queues.started import tell_started

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="noop")
async def noop() -> None:
    """Does nothing."""
    tell_started()
