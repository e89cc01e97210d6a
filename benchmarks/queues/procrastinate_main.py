"""Makes procrastinate's tables (`schema`), or is one of its workers (`worker`)."""

from __future__ import annotations

import os
import sys

from benchmarks.queues.procrastinate_app import app

if __name__ == "__main__":
    if sys.argv[1] == "schema":
        with app.open():
            app.schema_manager.apply_schema()
    else:
        app.run_worker(concurrency=int(os.environ["BENCH_CONCURRENCY"]), queues=["default"])
