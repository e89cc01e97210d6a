"""`/proxy` and its viewers: those who leave, those who stall, and those who come while others do."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack

import pytest
import requests

from tests.api.proxy_stage import DEADLINE, Stage, eventually, open_files, stage
from tests.servers.endless import Endless

__all__ = ["stage"]

MANY = 500
# It takes some milliseconds; the rest is for a machine that has other things to do.
PROMPTLY = 5.0


def origins(stage: Stage) -> dict[str, Endless]:
    return {"http": stage.endless, "https": stage.endless_tls}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("path", ["/endless.mp4", "/silent.mp4", "/mute.mp4", "/mute.m3u8", "/silent"])
def test_the_upstream_is_left_when_the_viewer_leaves(stage: Stage, scheme: str, path: str) -> None:
    upstream = origins(stage)[scheme]
    before = len(upstream.left)
    viewer = stage.viewer(upstream.base_url + path)
    eventually(lambda: upstream.now == 1)
    if "endless" in path:
        for _ in range(100):
            viewer.recv(65536)
    left = time.monotonic()
    viewer.close()
    eventually(lambda: len(upstream.left) > before)
    took = upstream.left[-1] - left
    print(f"{scheme} {path}: the upstream was left after {took * 1000:.1f} ms")  # noqa: T201 (shown with -s)
    assert took < PROMPTLY
    eventually(lambda: upstream.now == 0)


def test_it_is_left_when_the_viewer_leaves_after_stalling(stage: Stage) -> None:
    before = len(stage.endless.left)
    viewer = stage.viewer(stage.endless.base_url + "/endless.mp4", receive_buffer=4096)
    sent = -1
    while sent != (sent := stage.endless.sent):
        time.sleep(0.3)
    left = time.monotonic()
    viewer.close()
    eventually(lambda: len(stage.endless.left) > before)
    assert stage.endless.left[-1] - left < PROMPTLY


def test_a_slow_viewer_gets_every_byte_and_none_waits_in_memory(stage: Stage) -> None:
    block, times = hashlib.sha256(b"seed").digest() * (1 << 15), 300
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n" % (len(block) * times)
    expected, seen = hashlib.sha256(), hashlib.sha256()
    for _ in range(times):
        expected.update(block)
    stage.get(stage.odd.say(b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n"))
    base = peak = stage.site.resident_bytes()
    url = stage.odd.say(head, *[block] * times)
    with requests.get(stage.site.proxied(url), stream=True, timeout=DEADLINE) as answer:
        for number, piece in enumerate(answer.iter_content(1 << 20)):
            seen.update(piece)
            if number % 10 == 0:
                time.sleep(0.02)
                peak = max(peak, stage.site.resident_bytes())
    assert seen.digest() == expected.digest()
    print(f"memory: {base / 1e6:.1f} MB before, at most {peak / 1e6:.1f} MB")  # noqa: T201 (shown with -s)
    assert peak - base < 20_000_000


def test_many_stalled_viewers_hold_up_nobody(stage: Stage) -> None:
    base = stage.site.resident_bytes()
    url = stage.origin.put("/small.mp4", b"small")
    with open_files(4 * MANY), ExitStack() as viewers:
        for number in range(MANY):
            path = "/endless.mp4" if number % 2 else "/silent.mp4"
            viewers.enter_context(stage.viewer(stage.endless.base_url + path, receive_buffer=4096))
        eventually(lambda: stage.endless.now == MANY)
        sent = -1
        while sent != (sent := stage.endless.sent):
            time.sleep(0.5)
        started = time.monotonic()
        assert stage.get(url).content == b"small"
        took = time.monotonic() - started
        each = (stage.site.resident_bytes() - base) / MANY
        threads = sum(worker.num_threads() for worker in stage.site.workers())
        print(f"{MANY} stalled: one more waits {took * 1000:.1f} ms; {each / 1e3:.0f} KB each; {threads} threads")  # noqa: T201
        assert took < PROMPTLY
        assert each < 1_500_000
        assert threads < 150
    eventually(lambda: stage.endless.now == 0)
