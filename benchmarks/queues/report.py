"""What was measured: kept by section and name, shown as tables of medians and ratios, written as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.aims import Aim, figure, machine


@dataclass
class Line:
    """One thing measured several times. `limit` and `ratio` are set where there is an aim."""

    section: str
    contender: str
    what: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)


class Report:
    """Collects values; prints and writes them."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, str], Line] = {}
        self.aims: list[Aim] = []
        self._load = os.getloadavg()[0]

    def add(self, section: str, contender: str, what: str, unit: str, value: float) -> None:
        """One more value of this line."""
        line = self._lines.setdefault((section, contender, what), Line(section, contender, what, unit))
        line.values.append(value)

    def median(self, section: str, contender: str, what: str) -> float:
        """The median so far. Raises KeyError."""
        return self._lines[section, contender, what].median

    def best(self, section: str, contender: str) -> float:
        """The highest median of all lines of a contender whose name begins so."""
        return max(line.median for (s, c, _), line in self._lines.items() if s == section and c.startswith(contender))

    def has(self, section: str) -> bool:
        """Whether anything of this section was measured."""
        return any(s == section for s, _, _ in self._lines)

    def show(self, console: Console, baseline: str = "Reelkeep") -> None:
        """A table for each section: medians, range, and how many times the baseline's value is that of each other."""
        for section in dict.fromkeys(key[0] for key in self._lines):
            table = Table(title=section, title_justify="left")
            for name in ("what", "contender", "median", "unit", "range", f"{baseline} / it"):
                table.add_column(name, justify="right" if name in {"median", "range", f"{baseline} / it"} else "left")
            lines = [line for key, line in self._lines.items() if key[0] == section]
            for line in sorted(lines, key=lambda line: [one.what for one in lines].index(line.what)):
                table.add_row(
                    line.what,
                    line.contender,
                    figure(line.median),
                    line.unit,
                    _range(line.values),
                    self._ratio(line, baseline),
                )
            console.print(table)
        for aim in self.aims:
            console.print(str(aim))
        console.print(f"Load average {self._load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end.")

    def _ratio(self, line: Line, baseline: str) -> str:
        ours = self._lines.get((line.section, baseline, line.what))
        return f"{ours.median / line.median:.2f}" if ours and ours is not line and line.median else ""

    def write(self, path: Path, parameters: dict[str, Any]) -> None:
        """All values, and where they were measured."""
        found = {
            "machine": machine(),
            "load": [self._load, os.getloadavg()[0]],
            "parameters": parameters,
            "lines": [
                {**vars(line), "median": line.median, "values": [round(value, 3) for value in line.values]}
                for line in self._lines.values()
            ],
            "aims": [{**vars(aim), "met": aim.met} for aim in self.aims],
        }
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values doesn't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _range(values: Sequence[float]) -> str:
    return f"{figure(min(values))}–{figure(max(values))}" if len(values) > 1 else ""
