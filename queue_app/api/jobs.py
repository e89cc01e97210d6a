"""`/api/v1/queue`: looking at jobs and steering them, with the API token."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from archive_site.bearer import ApiToken, HasToken
from archive_site.json_body import as_object, read_body, read_object
from queue_app import steering
from queue_app.api.job_serializers import (
    JobPageSerializer,
    JobSerializer,
    JobWithEventsSerializer,
    PrioritySerializer,
    ReasonSerializer,
)
from queue_app.api.pages import LIMIT, LIMIT_MAX, page_of_jobs
from queue_app.api.serializers import RefusedSerializer
from queue_app.models import VideoQueue
from queue_app.states import VideoStatus
from queue_app.steering import Outcome

ACTOR = "API"
REFUSALS = {400: RefusedSerializer, 401: RefusedSerializer, 404: RefusedSerializer, 503: RefusedSerializer}
CONFLICT = {**REFUSALS, 409: RefusedSerializer}


class Conflict(APIException):
    """409: the job's state forbids it."""

    status_code = 409


class SteeringView(APIView):
    """What all of these share."""

    authentication_classes = [ApiToken]
    permission_classes = [HasToken]


class QueueView(SteeringView):
    """The queue, a page at a time."""

    @extend_schema(
        operation_id="queue_list",
        summary="List jobs",
        description="The newest first; of one status, the last to come to it first. Each page costs the same.",
        parameters=[
            OpenApiParameter("status", str, enum=VideoStatus.values, description="Only jobs in this status."),
            OpenApiParameter("limit", int, description=f"1 to {LIMIT_MAX}; {LIMIT} when it is left out."),
            OpenApiParameter("after", str, description="`next` of the page before."),
        ],
        responses={200: JobPageSerializer, 400: RefusedSerializer, 401: RefusedSerializer, 503: RefusedSerializer},
        tags=["queue"],
    )
    def get(self, request: Request) -> Response:
        """A page of jobs, without their events."""
        jobs, after = page_of_jobs(request.query_params.dict())
        return Response({"items": JobSerializer(jobs, many=True).data, "next": after})


class JobView(SteeringView):
    """One job."""

    @extend_schema(
        summary="Look at a job", responses={200: JobWithEventsSerializer, **REFUSALS}, tags=["queue"],
    )  # fmt: skip
    def get(self, request: Request, job_id: UUID) -> Response:
        """Everything about it, and what happened to it."""
        return Response(JobWithEventsSerializer(find_job(job_id)).data)

    @extend_schema(
        summary="Change a job's priority",
        request=PrioritySerializer,
        responses={200: JobSerializer, **REFUSALS},
        tags=["queue"],
    )
    def patch(self, request: Request, job_id: UUID) -> Response:
        """The job with its new priority."""
        wanted = PrioritySerializer(data=read_object(request))
        wanted.is_valid(raise_exception=True)
        steering.prioritise([job_id], wanted.validated_data["priority"])
        return Response(JobSerializer(find_job(job_id)).data)


class CancelView(SteeringView):
    """Ends a job short of its end."""

    @extend_schema(
        summary="Cancel a job",
        description="A worker that is at it stops at its next heartbeat. 409 when the job has ended already.",
        request=ReasonSerializer,
        responses={200: JobSerializer, **CONFLICT},
        tags=["queue"],
    )
    def post(self, request: Request, job_id: UUID) -> Response:
        """The cancelled job."""
        outcome = steering.cancel([job_id], actor=ACTOR, reason=_reason(request, "Cancelled over the API."))
        return _answer(job_id, outcome, "It is {status}: only jobs that have not ended can be cancelled.")


class RequeueView(SteeringView):
    """Gives a failed job all its attempts again."""

    @extend_schema(
        summary="Requeue a failed job",
        description="It goes back to pending with all its attempts. 409 when it is not failed.",
        request=ReasonSerializer,
        responses={200: JobSerializer, **CONFLICT},
        tags=["queue"],
    )
    def post(self, request: Request, job_id: UUID) -> Response:
        """The job, pending."""
        outcome = steering.requeue([job_id], actor=ACTOR, reason=_reason(request, "Requeued over the API."))
        return _answer(job_id, outcome, "It is {status}: only failed jobs can be requeued.")


def find_job(job_id: UUID) -> VideoQueue:
    """The job. Raises NotFound."""
    job = VideoQueue.objects.filter(pk=job_id).first()
    if job is None:
        raise NotFound("There is no job with this id.")
    return job


def _answer(job_id: UUID, outcome: Outcome, refusal: str) -> Response:
    if job_id in outcome.refused:
        raise Conflict(refusal.format(status=outcome.refused[job_id]))
    return Response(JobSerializer(find_job(job_id)).data)


def _reason(request: Request, default: str) -> str:
    body = read_body(request)
    if not body.strip():
        return default
    given: Any = ReasonSerializer(data=as_object(body))
    given.is_valid(raise_exception=True)
    return str(given.validated_data.get("reason", default))
