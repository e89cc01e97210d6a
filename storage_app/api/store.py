"""`/api/v1/store/…`: steering what is archived, with the API token."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from archive_site.bearer import ApiToken, HasToken
from archive_site.json_body import as_object, read_body
from storage_app.deletion import delete_videos

ACTOR = "API"
REASON_LENGTH = 1000


class DeletionSerializer(serializers.Serializer[dict[str, Any]]):
    """Why; the body may be left out."""

    reason = serializers.CharField(
        required=False, max_length=REASON_LENGTH, help_text="For the tombstone and the job's history."
    )


class StoredVideoView(APIView):
    """One archived video."""

    authentication_classes = [ApiToken]
    permission_classes = [HasToken]

    @extend_schema(
        operation_id="store_delete",
        summary="Delete an archived video",
        description="It is gone for players at once. Its copies are removed from the accounts as soon as each of them "
        "can be reached; content that another video has stays. Its job is cancelled.",
        request=DeletionSerializer,
        responses={204: None, 400: dict, 401: dict, 404: dict, 503: dict},
        tags=["store"],
    )
    def delete(self, request: Request, video_id: UUID) -> Response:
        """204; 404 when there is no such video."""
        if not delete_videos([video_id], actor=ACTOR, reason=_reason(request)):
            raise NotFound("There is no archived video with this id.")
        return Response(status=204)


def _reason(request: Request) -> str:
    body = read_body(request)
    given = DeletionSerializer(data=as_object(body) if body.strip() else {})
    given.is_valid(raise_exception=True)
    return str(given.validated_data.get("reason", "Deleted over the API."))
