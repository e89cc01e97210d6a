"""One contender's turn at a scenario."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.downloads.contenders import Contender, Job
from benchmarks.downloads.material import Material
from benchmarks.downloads.running import Measured, OriginProcess, Usage
from benchmarks.downloads.scenarios import Scenario

_SLOWEST_RATE = 10_000_000
"""Bytes per second: what is unthrottled and slower than this is stopped."""
_PATIENCE = 4.0
_START_SECONDS = 30


@dataclass(frozen=True)
class Run:
    """What one turn took, and how it ended."""

    usage: Usage
    counts: dict[str, float]
    problem: str
    """Why the result isn't right; "" when it is."""


def one_turn(scenario: Scenario, contender: Contender, material: Material) -> Run:
    """In a fresh process, from a fresh origin, into an empty folder that is gone afterwards."""
    with place(material) as folder, OriginProcess(material.manifest, scenario.behaviour) as origin:
        job = job_in(folder, origin.url(scenario.path))
        with Measured(contender.command(job), folder / "log") as measured:
            usage = measured.wait(longest(scenario))
        counts = origin.counts()
        return Run(usage, counts, usage.problem or problem_of(job, scenario))


@contextmanager
def place(material: Material) -> Iterator[Path]:
    """A folder for one turn. What earlier turns wrote is on the disk before it begins."""
    folder = Path(tempfile.mkdtemp(dir=material.folder))
    os.sync()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def job_in(folder: Path, url: str) -> Job:
    """What there is to do, with an empty folder to do it in."""
    work = folder / "work"
    work.mkdir()
    return Job(url, work, folder / "result.mp4")


def longest(scenario: Scenario) -> float:
    """Seconds after which a run is stopped: four times what one connection takes alone."""
    rate = scenario.behaviour.rate or _SLOWEST_RATE
    return _START_SECONDS + _PATIENCE * scenario.size / rate


def problem_of(job: Job, scenario: Scenario) -> str:
    """What is wrong with the result; "" when it is right."""
    return scenario.check(job.output) if job.output.is_file() else "left no file"
