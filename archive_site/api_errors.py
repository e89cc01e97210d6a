"""Errors of the JSON API: one shape, each naming the field, none showing our insides."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

logger = logging.getLogger(__name__)

NOT_FOUND = "There is nothing at this address. /api/docs lists what there is."
OUR_FAULT = "Something went wrong here; the server's log says what."


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """The JSON answer to whatever a view of the API raises."""
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.error("The database can't be used: %s", error)
        return Response(
            {"detail": "The database can't be reached. Nothing was stored; try again in a moment."},
            status=503,
            headers={"Retry-After": "5"},
        )
    if isinstance(error, (DataError, IntegrityError)):
        logger.error("The database refuses a value that validation let pass.", exc_info=error)
        return Response({"detail": "The database refuses one of these values."}, status=400)
    response = exception_handler(error, context)
    if response is None:
        logger.error("Unexpected %s in %s", type(error).__name__, context.get("view"), exc_info=error)
        response = Response({"detail": OUR_FAULT}, status=500)
    return response


class NothingHere(APIView):
    """Every address that the URL map doesn't know, in every mode: Django's debug page would show settings."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """404 for every method."""
        raise NotFound(NOT_FOUND)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 outside of any view, for example for a malformed Host header."""
    if _is_admin(request):
        return defaults.bad_request(request, exception)
    return JsonResponse({"detail": "The request is malformed."}, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 outside of any view."""
    if _is_admin(request):
        return defaults.page_not_found(request, exception)
    return JsonResponse({"detail": NOT_FOUND}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 outside of any view."""
    if _is_admin(request):
        return defaults.server_error(request)
    return JsonResponse({"detail": OUR_FAULT}, status=500)


def _is_admin(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/")
