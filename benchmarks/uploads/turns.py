"""Scenarios, contenders, and one contender's turn at a scenario."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.downloads.running import ROOT, Measured, Usage
from benchmarks.uploads.job import Job
from benchmarks.uploads.places import HubPlace, S3Place, hub_place, s3_place
from tests.servers.rgw import Rgw

OURS = "Reelkeep"
AWS = ROOT / ".venv" / "aws" / "bin" / "aws"
_LIMIT_SECONDS = 600


@dataclass(frozen=True)
class Contender:
    """A program that brings a file to accounts: a module of this package and its further arguments."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """What is to be done."""

    key: str
    title: str
    contenders: tuple[Contender, ...]
    rate: int = 0
    """See `Job.rate`."""
    s3: bool = False


@dataclass(frozen=True)
class Run:
    """What one turn took, and how it ended."""

    usage: Usage
    after: float
    """Seconds from the last byte of the download to the last confirmed copy."""
    sent: int
    """Bytes of content that the accounts received; 0: not known."""
    problem: str


_OURS = Contender(OURS, "ours")
_LOOP = Contender("upload_file ×5, LFS", "peers", ("loop", "lfs"))
_HUB = (
    _OURS,
    _LOOP,
    Contender("5 threads, LFS", "peers", ("threads", "lfs")),
    Contender("upload_file ×5, Xet", "peers", ("loop", "xet")),
)
_AWS = Contender("aws s3 cp, cp", "peers_s3", (str(AWS),))
SCENARIOS = (
    Scenario("hub", "5 Hub accounts, 1 Gbit/s uplink", _HUB),
    Scenario("hub-download", "the same, while it comes in at 100 MB/s", (_OURS, _LOOP), rate=100_000_000),
    Scenario("s3", "2 S3 buckets and a folder", (_OURS, _AWS), s3=True),
    Scenario("s3-download", "the same, while it comes in at 100 MB/s", (_OURS, _AWS), rate=100_000_000, s3=True),
)


def one_turn(scenario: Scenario, contender: Contender, file: Path, sha256: str, server: Rgw | None) -> Run:
    """In a fresh process, to fresh accounts. What earlier turns wrote is on the disk before it begins."""
    with _folder() as folder, _place(scenario, folder, server) as place:
        memory = folder / "memory"
        memory.mkdir()
        os.sync()
        result = folder / "result.json"
        job = Job(str(file), sha256, file.stat().st_size, str(memory), str(result), scenario.rate, **place.fields)
        command = [sys.executable, "-m", f"benchmarks.uploads.{contender.module}", job.as_argument()]
        with Measured(place.wrapped([*command, *contender.arguments]), folder / "log") as measured:
            usage = measured.wait(_LIMIT_SECONDS)
        if usage.problem:
            return Run(usage, 0.0, 0, usage.problem)
        problem, sent = place.check(sha256)
        return Run(usage, float(json.loads(result.read_text(encoding="utf-8"))["after"]), sent, problem)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="reelkeep-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place(scenario: Scenario, folder: Path, server: Rgw | None) -> AbstractContextManager[HubPlace | S3Place]:
    if not scenario.s3:
        return hub_place(folder)
    assert server is not None
    return s3_place(folder, server)
