"""`/health`: what is true right now, read from the database and the settings (CONTRACT §2.1)."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from archive_site import __version__
from queue_app.counters import ALIVE_WITHIN

logger = logging.getLogger(__name__)

# libpq's own minimum; together under the 3 seconds that load balancers commonly wait.
CONNECT_SECONDS = 2
STATEMENT_MILLISECONDS = 900


# The names are the contract's.
class EnvironmentSerializer(serializers.Serializer[dict[str, Any]]):
    """What is configured, never its value."""

    hasAuthSecret = serializers.BooleanField()  # noqa: N815
    hasHfApiKey = serializers.BooleanField()  # noqa: N815
    hasWebhookUrl = serializers.BooleanField()  # noqa: N815
    hasWebhookSecret = serializers.BooleanField()  # noqa: N815
    asrProvider = serializers.CharField(allow_null=True)  # noqa: N815


class CacheSerializer(serializers.Serializer[dict[str, Any]]):
    """The transcript store as a cache."""

    hitRate = serializers.FloatField(allow_null=True)  # noqa: N815


class HealthSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of /health; the first three are null when the database can't be reached."""

    status = serializers.ChoiceField(["ok", "error"])
    database = serializers.BooleanField()
    worker_running = serializers.BooleanField(allow_null=True)
    storage_accounts = serializers.IntegerField(allow_null=True)
    cf_workers_configured = serializers.BooleanField()
    version = serializers.CharField()
    service = serializers.CharField()
    platform = serializers.CharField()
    environment = EnvironmentSerializer()
    cache = CacheSerializer()


class HealthView(APIView):
    """Is this site able to work?"""

    @extend_schema(summary="Health", auth=[], responses={200: HealthSerializer, 503: HealthSerializer}, tags=["health"])
    def get(self, request: Request) -> Response:
        """200 while the database answers, else 503."""
        try:
            worker_running, accounts = _read_state()
        except DatabaseError as error:
            logger.warning("/health: the database can't be reached: %s", error)
            state = {"status": "error", "database": False, "worker_running": None, "storage_accounts": None}
            return Response({**state, **_configuration()}, status=503)
        state = {
            "status": "ok",
            "database": True,
            "worker_running": worker_running,
            "storage_accounts": accounts,
        }
        return Response({**state, **_configuration()})


def _read_state() -> tuple[bool, int]:
    """(does a worker run, accounts in use), over a connection of its own that gives up early."""
    probe = connection.copy()
    probe.settings_dict["OPTIONS"]["connect_timeout"] = CONNECT_SECONDS
    try:
        # A transaction, so that the time-out ends with it: behind a pooler others get this connection next.
        probe.set_autocommit(False)
        with probe.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_MILLISECONDS)])
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM worker WHERE stopped_at IS NULL"
                " AND last_heartbeat > now() - make_interval(secs => %s)),"
                " (SELECT count(*) FROM storage_account WHERE enabled)",
                [ALIVE_WITHIN.total_seconds()],
            )
            worker_running, accounts = cursor.fetchone()
    finally:
        probe.close()
    return bool(worker_running), int(accounts)


def _configuration() -> dict[str, Any]:
    return {
        "cf_workers_configured": bool(settings.CLOUDFLARE_WORKERS_URL),
        "version": __version__,
        "service": "reelkeep",
        "platform": "django",
        "environment": {
            "hasAuthSecret": bool(settings.ENGINE_SHARED_SECRET),
            "hasHfApiKey": bool(settings.HF_API_KEY),
            "hasWebhookUrl": bool(settings.BUSINESS_ENGINE_WEBHOOK_URL),
            "hasWebhookSecret": bool(settings.BUSINESS_ENGINE_WEBHOOK_SECRET),
            "asrProvider": settings.ASR_PROVIDER or None,
        },
        "cache": {"hitRate": None},  # there is no cache of transcripts yet
    }
