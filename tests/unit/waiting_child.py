"""A program for `child.ask` that never answers."""

from __future__ import annotations

import time

from queue_app.downloaders import child

if __name__ == "__main__":
    child.begin()
    time.sleep(3600)
