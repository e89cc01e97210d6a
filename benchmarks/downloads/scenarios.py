"""What is measured: an origin's behaviour, what is fetched from it, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.downloads.behaviour import PLAIN, THROTTLED, Behaviour
from benchmarks.downloads.contenders import Contender, aria2c, curl, ffmpeg, ours, yt_dlp
from benchmarks.downloads.material import Inventory, Material, sha256_of
from queue_app.media.ffmpeg import Tools

SECTIONS = ("direct", "flaky", "hls", "variants", "loopback")

Check = Callable[[Path], str]
"""What is wrong with a result; "" when it is right."""


@dataclass(frozen=True)
class Scenario:
    """One row of runs: each contender's turn at the same work."""

    key: str
    title: str
    path: str
    size: int
    """Bytes that have to be fetched."""
    behaviour: Behaviour
    connections: int
    contenders: list[Contender]
    check: Check
    requests: int = 0
    """How many the source's own division makes unavoidable, each of which waits for a round trip."""

    @property
    def limit(self) -> float | None:
        """Seconds that the link itself takes; None where nothing throttles."""
        if not self.behaviour.rate:
            return None
        at_once = min(self.connections, self.behaviour.answers or self.connections)
        return (self.size / self.behaviour.rate + self.requests * self.behaviour.round_trip) / at_once


def scenarios(sections: list[str], material: Material, tools: Tools) -> list[Scenario]:
    """Those of the sections that are asked for."""
    made = {
        "direct": lambda: [_file("direct", "Direct file", material, THROTTLED, [ours(8), aria2c(), curl()])],
        "flaky": lambda: _flaky(material),
        "hls": lambda: _hls(material, tools),
        "variants": lambda: _variants(material, tools),
        "loopback": lambda: _loopback(material, tools),
    }
    return [scenario for section in SECTIONS if section in sections for scenario in made[section]()]


def _file(key: str, title: str, material: Material, behaviour: Behaviour, contenders: list[Contender]) -> Scenario:
    size, sha256 = material.file_bytes, material.sha256

    def check(result: Path) -> str:
        return "" if sha256_of(result) == sha256 else "other bytes than the source's"

    return Scenario(key, title, "/file.mp4", size, behaviour, 8, contenders, check)


def _flaky(material: Material) -> list[Scenario]:
    cut_within = material.file_bytes // 25
    everything = replace(THROTTLED, cut_share=0.5, cut_within=cut_within, busy_share=0.1, slow_every=8)
    kinds = {
        "mixed": ("cuts, 503s and one slow connection", everything),
        "cuts": ("half of the answers are cut", replace(THROTTLED, cut_share=0.5, cut_within=cut_within)),
        "cap": ("4 answers at once, 503 beyond", replace(THROTTLED, answers=4)),
        "slow": ("one connection in eight ten times slower", replace(THROTTLED, slow_every=8)),
        "busy": ("one request in ten is answered 503", replace(THROTTLED, busy_share=0.1)),
    }
    return [
        _file(f"flaky-{kind}", f"Flaky: {title}", material, behaviour, [ours(8), aria2c(tuned=True)])
        for kind, (title, behaviour) in kinds.items()
    ]


def _stream(
    key: str,
    title: str,
    kind: str,
    material: Material,
    behaviour: Behaviour,
    connections: int,
    contenders: list[Contender],
    tools: Tools,
) -> Scenario:
    def check(result: Path) -> str:
        try:
            return material.inventory.difference(Inventory.of(result, tools))
        except ValueError as error:
            return str(error)

    path = f"/{kind}/stream.m3u8"
    size, requests = material.stream_bytes, material.segments
    return Scenario(key, title, path, size, behaviour, connections, contenders, check, requests)


def _hls(material: Material, tools: Tools) -> list[Scenario]:
    def at(connections: int, *more: Contender) -> Scenario:
        who = [ours(connections), yt_dlp(connections, tools, material.folder), *more]
        title = f"HLS, {connections} segments at once"
        return _stream(f"hls-{connections}", title, "plain", material, THROTTLED, connections, who, tools)

    return [at(8, ffmpeg(tools)), at(16)]


def _variants(material: Material, tools: Tools) -> list[Scenario]:
    def of(kind: str, title: str) -> Scenario:
        who = [ours(16), yt_dlp(16, tools, material.folder), ffmpeg(tools)]
        return _stream(f"hls-{kind}", f"HLS, {title}, 16 at once", kind, material, THROTTLED, 16, who, tools)

    return [of("byterange", "byte ranges of one file"), of("aes", "AES-128")]


def _loopback(material: Material, tools: Tools) -> list[Scenario]:
    def fetcher(connections: int) -> Contender:
        return yt_dlp(connections, tools, material.folder)

    who = [ours(8), aria2c(), curl(), fetcher(8)]
    stream = [ours(16), fetcher(16), ffmpeg(tools)]
    return [
        _file("loopback", "Loopback, direct file", material, PLAIN, who),
        _stream("loopback-hls", "Loopback, HLS, 16 at once", "plain", material, PLAIN, 16, stream, tools),
    ]
