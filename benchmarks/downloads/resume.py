"""Our downloader killed on its way and started again: how much does it fetch twice?"""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.downloads.contenders import Contender
from benchmarks.downloads.material import Material
from benchmarks.downloads.running import Measured, OriginProcess
from benchmarks.downloads.scenarios import Scenario
from benchmarks.downloads.turns import job_in, longest, place, problem_of

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Resumed:
    """One kill and what followed."""

    what: str
    share: float
    """Of its bytes had been served when it was killed."""
    again: int
    """Bytes that the origin served in all, beyond the size."""
    pieces: float
    """The same in pieces or segments."""
    problem: str


def kill_and_resume(
    scenario: Scenario, contender: Contender, material: Material, share: float, piece_bytes: int
) -> Resumed:
    """SIGKILL when this share of the bytes has been served, then once more to the end, in the same folder."""
    with place(material) as folder, OriginProcess(material.manifest, scenario.behaviour) as origin:
        job = job_in(folder, origin.url(scenario.path))
        deadline = time.monotonic() + longest(scenario)
        with Measured(contender.command(job), folder / "first.log") as first:
            while origin.counts()["served"] < share * scenario.size and first.running() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            ended = not first.running()
        with Measured(contender.command(job), folder / "log") as second:
            usage = second.wait(longest(scenario))
        again = int(origin.counts()["served"]) - scenario.size
        problem = "it ended before it was killed" if ended else usage.problem or problem_of(job, scenario)
        return Resumed(scenario.title, share, again, again / piece_bytes, problem)
