"""The streaming API, warm: an episode with four sources, of which one is archived."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import requests

from benchmarks.playing.asking import Asking
from benchmarks.playing.contenders import Scene
from benchmarks.playing.processes import ServerProcess
from benchmarks.playing.viewers import AnswerError

RATE = 200
_TOKEN = "bench-api-token"
_RESOLVED_SECONDS = 60
_RESOLUTIONS = ("360p", "480p", "720p")


@dataclass(frozen=True)
class Latency:
    """Milliseconds, from when a request was due to the last byte of its answer."""

    p50: float
    p99: float
    cpu: float
    """Milliseconds of processor time for each answer."""


def streaming(scene: Scene, seconds: float) -> Latency:
    """As `make run` serves it, with two web processes on all processors."""
    with scene.reelkeep.web(None, workers=2, API_TOKEN=_TOKEN) as server:
        url = f"http://127.0.0.1:{server.port}/api/v1/streaming/55825/1"
        _register(scene, server)
        _wait_until_resolved(url)
        Asking(url).at_rate(RATE, 2)  # warm: each process has its connections
        before = server.cpu_seconds()
        found = sorted(Asking(url).at_rate(RATE, seconds))
        used = server.cpu_seconds() - before
        return Latency(median(found), found[int(len(found) * 0.99)], 1000 * used / len(found))


def _register(scene: Scene, server: ServerProcess) -> None:
    sources = [
        {"episode": 1, "provider": "other", "resolution": name, "url": f"{scene.upstream}?{name}"}
        for name in _RESOLUTIONS
    ]
    sources.append({"episode": 1, "provider": "bench", "resolution": "1080p", "url": scene.upstream})
    requests.put(
        f"http://127.0.0.1:{server.port}/api/v1/anime/mal/55825",
        json={"title": "Bench", "sources": sources},
        headers={"Authorization": f"Bearer {_TOKEN}"},
        timeout=60,
    ).raise_for_status()


def _wait_until_resolved(url: str) -> None:
    deadline = time.monotonic() + _RESOLVED_SECONDS
    while True:
        data = requests.get(url, timeout=60).json()["data"]
        ways = [way for ways in data.values() for way in ways]
        if len(ways) == len(_RESOLUTIONS) + 1 and all(way["stream"] for way in ways):
            return
        if time.monotonic() > deadline:
            raise AnswerError(f"Not all sources were resolved: {data}")
        time.sleep(0.2)
