"""Watches a page as a user who isn't root and prints what is logged; run it in a user namespace of its own."""

from __future__ import annotations

import json
import logging
import sys

from archive_site.guard_proxy import GuardProxy
from archive_site.safe_http import Policy
from queue_app.downloaders import Progress, browser, child

if __name__ == "__main__":
    program, url, port, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    with GuardProxy(Policy(frozenset({("127.0.0.1", port)}))) as guard:
        for _ in range(times):
            try:
                reply = browser.watch(url, guard, program, Progress(), 40)
            except child.ChildFailed as failed:
                reply = {"failed": str(failed)}
            sys.stdout.write(json.dumps(reply) + "\n")
