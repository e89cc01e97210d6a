"""Bearer tokens from the settings (RFC 6750), compared in constant time."""

from __future__ import annotations

import hmac
import logging
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

logger = logging.getLogger(__name__)


class BearerToken(BaseAuthentication):
    """Lets in who sends the token that the setting `setting` holds, and nobody when it holds none."""

    setting: ClassVar[str]
    remedy: ClassVar[str]

    def authenticate(self, request: Request) -> tuple[None, str]:
        """Raises AuthenticationFailed (401) rather than let a request pass as anonymous."""
        expected = str(getattr(settings, self.setting)).encode()
        scheme, _, given = get_authorization_header(request).partition(b" ")
        if not expected:
            logger.error("%s is not set, so every request that needs it is refused. %s", self.setting, self.remedy)
            raise AuthenticationFailed("This server has no token configured; its log says more.")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), expected):
            raise AuthenticationFailed("Send the right token as Authorization: Bearer <token>.")
        return None, self.setting

    def authenticate_header(self, request: Request) -> str:
        """The value of WWW-Authenticate."""
        return "Bearer"


class HasToken(BasePermission):
    """Stands beside a BearerToken, so that a view without one lets nobody in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Was a token accepted?"""
        return request.auth is not None


class TriggerToken(BearerToken):
    """The token of /trigger."""

    setting = "TRIGGER_TOKEN"
    remedy = "Set TRIGGER_TOKEN (or HF_FILE_SALT) and restart."


class ApiToken(BearerToken):
    """The token of the routes that look at jobs and steer them."""

    setting = "API_TOKEN"
    remedy = "Set API_TOKEN (or TRIGGER_TOKEN, or HF_FILE_SALT) and restart."


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document shows it."""

    target_class = BearerToken
    match_subclasses = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """One scheme for each token."""
        return str(self.target.setting).lower()

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """An HTTP bearer scheme."""
        return {"type": "http", "scheme": "bearer", "description": f"The value of {self.target.setting}."}
