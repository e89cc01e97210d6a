"""`GET /status`, and a job's status for those who look for its video."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from queue_app.api.serializers import StatusSerializer
from queue_app.counters import count_videos
from queue_app.models import VideoQueue
from storage_app.key_rules import filter_by
from storage_app.naming import VideoKey


class StatusView(APIView):
    """How many jobs are in which state, and how many videos are archived."""

    @extend_schema(summary="Counters", auth=[], responses=StatusSerializer, tags=["queue"])
    def get(self, request: Request) -> Response:
        """Counted now."""
        return Response(asdict(count_videos()))


def queue_status(key: VideoKey) -> str | None:
    """The status of the job with this key; None when there is none."""
    return VideoQueue.objects.filter(**filter_by(key)).values_list("status", flat=True).first()
