"""What was to be reached and what was, and where it was measured."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any


@dataclass
class Aim:
    """What was to be reached, and what was."""

    text: str
    value: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted

    def __str__(self) -> str:
        verdict, sign = "met   " if self.met else "MISSED", "≤" if self.at_most else "≥"
        return f"{verdict} {self.text}: {figure(self.value)} (aim {sign} {figure(self.wanted)})"


def figure(value: float) -> str:
    """For people: three digits that count."""
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()}
