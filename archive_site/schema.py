"""What the OpenAPI document leaves out."""

from __future__ import annotations

from typing import Any


def one_path_each(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Without the twins that end in a slash."""
    return [endpoint for endpoint in endpoints if not endpoint[0].endswith("/")]
