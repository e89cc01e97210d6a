"""A program for `child.ask` that breaks off with a loud complaint, as foreign libraries do."""

from __future__ import annotations

import sys

from queue_app.downloaders import child

if __name__ == "__main__":
    request = child.begin()
    sys.stderr.write(request["before"])
    raise RuntimeError(request["complaint"])
