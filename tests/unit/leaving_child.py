"""A program for `child.ask` that answers and leaves another one behind, which keeps its output open."""

from __future__ import annotations

import subprocess
import sys
import time

from queue_app.downloaders import child

if __name__ == "__main__":
    request = child.begin()
    left = subprocess.Popen(["/bin/sleep", "300"], start_new_session=request["away"])
    child.answer({"pid": left.pid})
    sys.stdout.flush()
    time.sleep(3600 if request.get("stay") else 0)
