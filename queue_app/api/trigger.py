"""`POST /trigger`: a video's URL goes in, a job's id comes out (CONTRACT §2.1)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from archive_site.bearer import HasToken, TriggerToken
from archive_site.json_body import read_object
from queue_app.api.serializers import RefusedSerializer, VideoJobSerializer, VideoRequestSerializer
from queue_app.queue import enqueue_video


class TriggerView(APIView):
    """Takes a video into the queue. Once the answer is 202, the job is committed."""

    authentication_classes = [TriggerToken]
    permission_classes = [HasToken]

    @extend_schema(
        summary="Archive a video",
        description="The same video again gives the same job. The body is read as JSON in any Content-Type.",
        request=VideoRequestSerializer,
        responses={
            202: VideoJobSerializer,
            400: RefusedSerializer,
            401: RefusedSerializer,
            413: RefusedSerializer,
            503: RefusedSerializer,
        },
        tags=["queue"],
    )
    def post(self, request: Request) -> Response:
        """202 with the job."""
        video = VideoRequestSerializer(data=read_object(request))
        video.is_valid(raise_exception=True)
        job = enqueue_video(video.key, video.validated_data["video_url"])
        return Response(VideoJobSerializer(job).data, status=202)
