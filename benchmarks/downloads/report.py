"""What was measured: tables of medians and ratios, what was aimed at, and every value as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.aims import Aim, figure, machine
from benchmarks.downloads.contenders import OURS
from benchmarks.downloads.resume import Resumed
from benchmarks.downloads.scenarios import Scenario
from benchmarks.downloads.turns import Run

_MB = 1e6
_GB = 1e9
_COLUMNS = ("", "wall s", f"{OURS} / it", "it / limit", "CPU s", "CPU s/GB", "peak MB", "served / size", "right")


@dataclass
class Result:
    """All rounds of one scenario: each contender's runs, or why it has none."""

    scenario: Scenario
    runs: dict[str, list[Run]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, contender: str, run: Run) -> None:
        """One more turn."""
        self.runs.setdefault(contender, []).append(run)

    def median(self, contender: str, of: Callable[[Run], float]) -> float | None:
        """Of the runs whose result was right; None when there is none."""
        values = [of(run) for run in self.runs.get(contender, []) if not run.problem]
        return median(values) if values else None

    def wall(self, contender: str) -> float | None:
        """Seconds, median."""
        return self.median(contender, lambda run: run.usage.wall)


@dataclass
class Report:
    """Collects, judges, prints and writes."""

    results: dict[str, Result] = field(default_factory=dict)
    resumed: list[Resumed] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    open_aims: list[str] = field(default_factory=list)
    """What couldn't be judged, with the reason."""
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def result(self, scenario: Scenario) -> Result:
        """Where the runs of this scenario are kept."""
        return self.results.setdefault(scenario.key, Result(scenario))

    def aim(self, text: str, ours: float | None, other: float | None, wanted: float) -> None:
        """Judge `ours / other`, which should be `wanted` at most."""
        if ours is None or other is None:
            self.open_aims.append(f"{text}: {OURS if ours is None else 'the other side'} has no right result")
        else:
            self.aims.append(Aim(text, ours / other, wanted, at_most=True))

    def show(self, console: Console) -> None:
        """All of it."""
        for result in self.results.values():
            _show_result(console, result)
        if self.resumed:
            _show_resumed(console, self.resumed)
        for aim in self.aims:
            console.print(str(aim), highlight=False)
        for text in self.open_aims:
            console.print(f"OPEN   {text}", highlight=False, markup=False)
        console.print(f"Load average {self.load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end.")

    def write(self, path: Path, parameters: dict[str, Any]) -> None:
        """Every value, and where it was measured."""
        found = {
            "machine": machine(),
            "load": [self.load, os.getloadavg()[0]],
            "parameters": parameters,
            "scenarios": [_as_json(result) for result in self.results.values()],
            "resumed": [asdict(resumed) for resumed in self.resumed],
            "aims": [{**asdict(aim), "met": aim.met} for aim in self.aims],
            "open_aims": self.open_aims,
        }
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _as_json(result: Result) -> dict[str, Any]:
    scenario = result.scenario
    return {
        "key": scenario.key,
        "title": scenario.title,
        "size": scenario.size,
        "limit": scenario.limit,
        "behaviour": asdict(scenario.behaviour),
        "runs": {name: [asdict(run) for run in runs] for name, runs in result.runs.items()},
        "missing": result.missing,
    }


def _show_result(console: Console, result: Result) -> None:
    scenario = result.scenario
    limit = f", the link's limit is {figure(scenario.limit)} s" if scenario.limit else ""
    table = Table(title=f"{scenario.title}: {figure(scenario.size / _MB)} MB{limit}", title_justify="left")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name else "left")
    for contender, runs in result.runs.items():
        table.add_row(contender, *_cells(result, contender), _rightness(runs))
    for contender in result.missing:
        table.add_row(contender, *[""] * (len(_COLUMNS) - 2), "is missing")
    console.print(table)
    for contender, what in result.missing.items():
        console.print(f"{contender} is missing: install {what}.", markup=False)
    for contender, runs in result.runs.items():
        for problem in dict.fromkeys(run.problem for run in runs if run.problem):
            console.print(f"{contender}: {escape(problem)}", style="red", highlight=False)


def _cells(result: Result, contender: str) -> list[str]:
    wall, ours, limit = result.wall(contender), result.wall(OURS), result.scenario.limit
    cpu = result.median(contender, lambda run: run.usage.cpu)
    peak = result.median(contender, lambda run: run.usage.peak_bytes / _MB) or None  # 0: ended before the first look
    served = result.median(contender, lambda run: run.counts["served"] / result.scenario.size)
    ratio = ours / wall if ours and wall and contender != OURS else None
    over_limit = wall / limit if wall and limit else None
    each = cpu / (result.scenario.size / _GB) if cpu is not None else None
    return [
        "–" if value is None else f"{value:.{digits}f}"
        for value, digits in ((wall, 2), (ratio, 2), (over_limit, 2), (cpu, 2), (each, 2), (peak, 0), (served, 3))
    ]


def _rightness(runs: list[Run]) -> str:
    right = sum(not run.problem for run in runs)
    return "yes" if right == len(runs) else f"{right} of {len(runs)}"


def _show_resumed(console: Console, resumed: list[Resumed]) -> None:
    table = Table(title=f"{OURS} killed (SIGKILL) and started again", title_justify="left")
    for name in ("", "killed at", "fetched twice, MB", "in pieces", "right"):
        table.add_column(name, justify="right" if name else "left")
    for one in resumed:
        again = f"{one.again / _MB:.2f}"
        table.add_row(one.what, f"{one.share:.0%}", again, f"{one.pieces:.2f}", escape(one.problem or "yes"))
    console.print(table)
