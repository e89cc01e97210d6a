"""From a stream at the origin to one proven MP4, as the pipeline does it."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

from archive_site.safe_http import Policy
from queue_app.downloaders import Downloaded, Limits, Progress, Source, download
from queue_app.media.ffmpeg import find_tools
from queue_app.media.join import join_to_mp4
from queue_app.media.probe import probe
from queue_app.media.proof import prove
from queue_app.media.remux import remux_to_mp4
from tests.servers.origin import Origin

LIMITS = Limits(max_bytes=10**9, hls_connections=4, retry_wait=0.01)


def fetch(
    origin: Origin, path: str, folder: Path, limits: Limits = LIMITS, resolution: str | None = None
) -> Downloaded:
    """Download a path of the origin into the new or existing `folder`."""
    folder.mkdir(exist_ok=True)
    policy = Policy(frozenset({origin.host_port}))
    return download(Source(origin.url(path), resolution), folder, policy=policy, limits=limits, progress=Progress())


def archive(origin: Origin, path: str, folder: Path, limits: Limits = LIMITS) -> Path:
    """The stream at a path of the origin as an MP4 that is proven whole."""
    found = fetch(origin, path, folder, limits)
    target = folder / "video.mp4"
    if found.tracks:
        join_to_mp4(found, target)
    else:
        remux_to_mp4(found.path, target, container=found.container)
    prove(target, probe(target), expected_duration=found.expected_duration)
    assert not list(folder.glob("join-*"))
    return target


def packets(path: Path, stream: str = "v:0") -> list[float]:
    """When each packet of a stream is shown, in order, in seconds."""
    command = [find_tools().ffprobe, "-v", "error", "-select_streams", stream]
    command += ["-show_entries", "packet=pts_time", "-of", "json", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return sorted(float(packet["pts_time"]) for packet in found["packets"])


def widest_gap(times: list[float]) -> float:
    """Seconds."""
    return max(after - before for before, after in itertools.pairwise(times))
