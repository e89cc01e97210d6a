"""Which format the API answers in."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request


class AlwaysJson(BaseContentNegotiation):
    """Answers in JSON whatever Accept says: webhook senders often say something they don't mean."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The first one."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first one."""
        return renderers[0], renderers[0].media_type
