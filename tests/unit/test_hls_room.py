"""A stream that won't fit on the disk is told early, and the MP4 made meanwhile never takes its room."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from queue_app.failures import TooLarge
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.streams import clip, cut
from tests.unit.streams import fetch

FETCH_ON_A_SMALL_DISK = """
import os, subprocess, sys
from pathlib import Path
from archive_site.safe_http import Policy
from queue_app.downloaders import Limits, Progress, Source, download
from queue_app.failures import Failure
from queue_app.media.ffmpeg import find_tools

url, folder, port, size, used = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
(folder / "other").write_bytes(bytes(used))
job = folder / "job"
job.mkdir()
limits = Limits(max_bytes=10**9, hls_connections=2, retry_wait=0.01, mark_seconds=0, tools=find_tools())
policy = Policy(frozenset({("127.0.0.1", port)}))
seen = []

def progress(done, total):
    seen.append((job / "stream-video.mp4").exists())

try:
    found = download(Source(url), job, policy=policy, limits=limits, progress=progress)
except Failure as failure:
    print(type(failure).__name__, any(seen), failure)
else:
    whole = found.path.read_bytes() == Path(sys.argv[2] + ".ts").read_bytes()
    print("whole" if whole else "other", "with" if found.mp4 else "without", any(seen))
"""
_IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


@functools.cache
def may_mount() -> bool:
    """Does this host let anybody mount in a namespace of its own?"""
    command = [*_IN_A_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, check=False).returncode == 0


class Disk:
    """A stream of about 20 seconds at an origin, and small disks to download it to."""

    def __init__(self, origin: Origin, folder: Path) -> None:
        if not may_mount():
            pytest.skip("needs a namespace in which a small disk can be mounted")
        self._origin, self._target = origin, folder / "disk"
        self._target.mkdir()
        self.playlist = cut(clip(folder, seconds=20, size="640x360"), origin.folder / "v")
        names = [f"index{n}.ts" for n in range(20)]
        content = b"".join((self.playlist.parent / name).read_bytes() for name in names)
        folder.joinpath("disk.ts").write_bytes(content)
        self.stream = len(content)

    def fetch(self, size: float, used: float = 0) -> str:
        """What became of it on a disk of `size`, of which `used` is taken, both in sizes of the stream."""
        arguments = [self._origin.url("/v/index.m3u8"), str(self._target), str(self._origin.host_port[1])]
        arguments += [str(int(size * self.stream)), str(int(used * self.stream))]
        command = [*_IN_A_NAMESPACE, sys.executable, "-c", FETCH_ON_A_SMALL_DISK, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def served(self) -> int:
        """Bytes of all segments."""
        return sum(self._origin.served(f"/v/index{n}.ts") for n in range(20))


@pytest.fixture
def disk(origin: Origin, tmp_path: Path) -> Disk:
    return Disk(origin, tmp_path)


def test_stream_that_no_empty_disk_holds_is_too_large(origin: Origin, tmp_path: Path) -> None:
    seconds = shutil.disk_usage(tmp_path).total / 188
    lines = "".join(f"#EXTINF:1,\ns{n}.ts\n" for n in range(30))
    origin.put("/v.m3u8", f"#EXTM3U\n{lines}#EXTINF:{2 * seconds},\ns.ts\n#EXT-X-ENDLIST\n".encode())
    for n in range(30):
        origin.put(f"/s{n}.ts", b"G" + bytes(187))
    with pytest.raises(TooLarge, match=r"GiB, but the whole disk of this host's downloads has .* larger disk"):
        fetch(origin, "/v.m3u8", tmp_path / "job")


def test_stream_without_room_fails_early(disk: Disk) -> None:
    assert disk.fetch(size=2, used=1.2).startswith("DiskFull False The download needs")
    assert disk.served() < 0.6 * disk.stream


def test_stream_larger_than_the_small_disk_is_too_large(disk: Disk) -> None:
    assert disk.fetch(size=0.8).startswith("TooLarge False The stream will have about")


def test_mp4_is_not_made_where_only_one_of_both_fits(disk: Disk) -> None:
    assert disk.fetch(size=1.6) == "whole without False"


def test_mp4_is_made_where_both_fit(disk: Disk) -> None:
    assert disk.fetch(size=4) == "whole with True"


def test_mp4_gives_way_when_the_disk_is_full(disk: Disk, origin: Origin) -> None:
    for n in range(20):
        origin.misbehave(f"/v/index{n}.ts", servers.Slow(bytes_per_second=disk.stream // 6))
    # By these durations hardly anything is left to come after the first segment.
    text = disk.playlist.read_text()
    first, begin, rest = text.partition("#EXTINF")
    shortened = "\n".join("#EXTINF:0.001," if "EXTINF" in line else line for line in (begin + rest).splitlines())
    disk.playlist.write_text(first + shortened.replace("0.001", "100", 1) + "\n")
    assert disk.fetch(size=1.3) == "whole without True"
