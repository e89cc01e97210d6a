"""gunicorn's configuration: `gunicorn -c python:archive_site.gunicorn_conf archive_site.asgi:application`."""

from __future__ import annotations

import os
import signal

from archive_site import env
from archive_site.process_tree import die_with_parent

# Behind nginx, whoever else could ask would be told the addresses of private files.
_host = env.text("BIND", "127.0.0.1" if env.boolean("X_ACCEL", default=False) else "0.0.0.0")  # noqa: S104 (a server)
bind = f"{_host}:{env.integer('PORT', 7860, minimum=1, maximum=65535)}"
worker_class = "archive_site.web_worker.Worker"
workers = env.integer("WEB_WORKERS", 2, minimum=1, maximum=64)
limit_request_line = 8190  # URLs of videos are long, and come back in a query; the default answers 414 at 4094
graceful_timeout = 10
timeout = 60
control_socket_disable = True


def on_starting(_server: object) -> None:
    """Stop with `make run` even when that was killed by -9."""
    if parent := os.environ.get("REELKEEP_PARENT"):
        die_with_parent(signal.SIGTERM, parent=int(parent))
