"""What stands before or beside our web server, started as the tests start it: `front edge|nginx FOLDER …`.

Prints `port N` and runs until it is ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """`edge FOLDER ORIGIN_PORT STORE_URL` is the Worker on workerd, `nginx FOLDER SITE_PORT` nginx as we ship it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "archive_site.settings")
    import django

    django.setup()
    signal.signal(signal.SIGTERM, lambda _signum, _frame: sys.exit())
    kind, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if kind == "edge":
        from tests.servers.workerd import Edge

        with Edge(folder, [("127.0.0.1", port)], STORE_URL=sys.argv[4]) as edge:
            _run(edge.port)
    else:
        from tests.servers.nginx import Nginx

        with Nginx(folder, port) as nginx:
            _run(nginx.port)


def _run(port: int) -> None:
    sys.stdout.write(f"port {port}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
