"""A download that is killed at any moment goes on, and fetches little twice."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.unit.killed import KILLED_AT_EVERY_STEP

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(1_000_000)


KILLED_AT_RANDOM = """
import sys
from pathlib import Path
from archive_site.safe_http import Policy
from queue_app.downloaders import Limits, Progress, Source, download

policy = Policy(frozenset({("127.0.0.1", int(sys.argv[3]))}))
limits = Limits(max_bytes=10**9, mark_seconds=0.02)
download(Source(sys.argv[1]), Path(sys.argv[2]), policy=policy, limits=limits, progress=Progress())
"""


def test_killed_at_random_moments_it_fetches_little_twice(origin: Origin, folder: Path) -> None:
    content = VIDEO[:64] + random.Random(3).randbytes(8_000_000)
    url, chance, rate = origin.put("/x.mp4", content), random.Random(4), 3_000_000
    origin.misbehave("/x.mp4", servers.Slow(bytes_per_second=rate // 8))
    command = [sys.executable, "-c", KILLED_AT_RANDOM, url, str(folder), str(origin.host_port[1])]
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(command)
        limit = origin.served("/x.mp4") + chance.randrange(2 * len(content) // 5)
        deadline = time.monotonic() + 60
        while process.poll() is None and origin.served("/x.mp4") < limit and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        assert code in {0, -signal.SIGKILL}, "the child failed by itself"
        if code == 0:
            break
        kills += 1
    assert (folder / "source.mp4").read_bytes() == content
    assert kills >= 3
    # Each kill may cost the bytes since the last mark and those on their way.
    assert origin.served("/x.mp4") <= len(content) + kills * 0.5 * rate


def test_killed_at_every_step_it_goes_on_to_the_same_file(origin: Origin, folder: Path) -> None:
    origin.put("/x.mp4", VIDEO)
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, origin.url("/x.mp4"), str(folder)]
    subprocess.run([*command, str(origin.host_port[1])], check=True, timeout=120)
    ends = list(folder.iterdir())
    assert len(ends) > 8
    for end in ends:
        names = {file.name for file in end.iterdir()}
        (name,) = names - {"direct.resume.json"}
        assert (end / name).read_bytes() == VIDEO


def test_killed_at_a_third_two_thirds_and_nearly_the_end(origin: Origin, folder: Path) -> None:
    content = VIDEO[:64] + random.Random(5).randbytes(24_000_000)
    url = origin.put("/x.mp4", content)
    origin.misbehave("/x.mp4", servers.Slow(bytes_per_second=1_000_000))
    command = [sys.executable, "-c", KILLED_AT_RANDOM, url, str(folder), str(origin.host_port[1])]
    for percent in (30, 60, 90):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while origin.served("/x.mp4") < len(content) * percent // 100 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
    subprocess.run(command, check=True, timeout=120)
    found = folder / "source.mp4"
    assert hashlib.sha256(found.read_bytes()).digest() == hashlib.sha256(content).digest()
    # At most one piece of each connection at each kill.
    assert origin.served("/x.mp4") <= len(content) + 3 * 8 * 1024 * 1024
