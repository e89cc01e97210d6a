"""gunicorn's configuration: `gunicorn -c python:archive_site.gunicorn_conf archive_site.asgi:application`."""

from __future__ import annotations

import os
import resource
import signal

from archive_site import env
from archive_site.process_tree import die_with_parent

# Behind nginx, whoever else could ask would be told the addresses of private files.
_host = env.text("BIND", "127.0.0.1" if env.boolean("X_ACCEL", default=False) else "0.0.0.0")  # noqa: S104 (a server)
bind = f"{_host}:{env.integer('PORT', 7860, minimum=1, maximum=65535)}"
worker_class = "archive_site.web_worker.Worker"
workers = env.integer("WEB_WORKERS", 2, minimum=1, maximum=64)
# An upstream's URL comes back percent-encoded in a query: of 4096 characters that may take 12 bytes each, and variables
# beside it. gunicorn's ASGI parser holds no more than this of a line that doesn't end.
limit_request_line = 64 * 1024
graceful_timeout = 10
timeout = 60
control_socket_disable = True


# A viewer takes two, one of them for the upstream; many systems begin with 1024.
_OPEN_FILES = 65_536


def on_starting(_server: object) -> None:
    """Allow for many viewers at once. Stop with `make run` even when that was killed by -9."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if parent := os.environ.get("REELKEEP_PARENT"):
        die_with_parent(signal.SIGTERM, parent=int(parent))
