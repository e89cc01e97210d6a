"""What a child process runs to download into one folder after another, killed at each one's next step."""

from __future__ import annotations

KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from archive_site.safe_http import Policy
from queue_app.downloaders import Limits, Source, download

url, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
STEPS = {"open", "os.rename", "os.remove", "os.truncate"}

def fetch(target, step):
    left = step
    def count():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(lambda event, args: count() if event in STEPS and str(folder) in str(args) else None)
    limits = Limits(max_bytes=10**9, hls_connections=2, retry_wait=0.01, mark_seconds=0)
    policy = Policy(frozenset({("127.0.0.1", port)}))
    download(Source(url), target, policy=policy, limits=limits,
             progress=lambda done, total: count())
    os._exit(0)

def child(target, step):
    pid = os.fork()
    if pid == 0:
        fetch(target, step)
    return os.waitpid(pid, 0)[1]

step = 1
while True:
    target = folder / str(step)
    target.mkdir()
    status = child(target, step)
    assert status in (0, signal.SIGKILL), status
    assert child(target, 0) == 0
    if status == 0:
        break
    step += 1
"""
