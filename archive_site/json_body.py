"""Reading JSON from a request of unknown quality."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.http.request import UnreadablePostError
from rest_framework.exceptions import APIException, ParseError
from rest_framework.request import Request


class BodyTooLarge(APIException):
    """413."""

    status_code = 413
    default_detail = "The body is larger than this server accepts."
    default_code = "too_large"


def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises ParseError (400) or BodyTooLarge (413)."""
    return as_object(read_body(request))


def as_object(body: bytes) -> dict[str, Any]:
    """These bytes as a JSON object. Raises ParseError."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise ParseError('The body must be a JSON object, like {"name": "value"}.')
    return value


def parse_json(body: bytes) -> Any:
    """The body as JSON, whatever its Content-Type: many senders give none, curl gives a form's. Raises ParseError."""
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_int=_bounded_integer)
    except UnicodeDecodeError:
        raise ParseError("The body is not JSON: it is not valid UTF-8.") from None
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise ParseError(f"The body is not JSON: {error}.") from None


def read_body(request: Request) -> bytes:
    """The body's bytes. Raises ParseError or BodyTooLarge."""
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if _declared_length(request) > limit:
        raise BodyTooLarge
    try:
        # Not request.body, which trusts Content-Length and is missing one when the body is chunked.
        body = request._request.read(limit + 1)
    except UnreadablePostError:
        raise ParseError("The body broke off.") from None
    if len(body) > limit:
        raise BodyTooLarge
    return body


def _declared_length(request: Request) -> int:
    declared = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0


def _refuse_constant(name: str) -> None:
    raise ParseError(f"The body is not JSON: {name} is not a JSON value.")


def _bounded_integer(digits: str) -> int:
    # Python refuses to convert thousands of digits; 40 of them are out of every range already.
    return int(digits[:40])
