"""A job in full, for those who hold the API token."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from queue_app.api.serializers import PRIORITY_MAX, PRIORITY_MIN, PriorityField
from queue_app.artifact import key_of
from queue_app.models import JobEvent, VideoQueue
from queue_app.states import VideoStatus
from storage_app.playback.urls import stream_url

NEWEST_EVENTS = 100
REASON_LENGTH = 500


class JobEventSerializer(serializers.ModelSerializer[JobEvent]):
    """One change of a job's state. Bytes, seconds and speed are those of the attempt that ended with it."""

    speed = serializers.IntegerField(allow_null=True, help_text="Bytes per second.")

    class Meta:
        model = JobEvent
        fields = (
            "at", "actor", "from_status", "to_status", "attempt", "failure_class", "bytes_done", "seconds", "speed",
            "reason", "details",
        )  # fmt: skip


class JobSerializer(serializers.ModelSerializer[VideoQueue]):
    """A job. `video_url` is as it was sent, its query string included."""

    status = serializers.ChoiceField(VideoStatus.choices)
    percent = serializers.IntegerField(allow_null=True, help_text="Of the current stage.")
    error_message = serializers.CharField(allow_null=True, help_text="The last failure.")
    mirrors = serializers.ListField(child=serializers.CharField(), source="options.mirrors", default=[])
    stream_url = serializers.SerializerMethodField()

    class Meta:
        model = VideoQueue
        fields = (
            "id", "mal_id", "episode", "provider", "resolution", "video_url", "page_url", "mirrors",
            "source_host", "status", "stage",
            "bytes_done", "bytes_total", "percent", "speed", "priority", "attempt", "max_attempts", "retry_count",
            "failure_class", "error_message", "not_before", "worker_id", "created_at", "updated_at", "stream_url",
        )  # fmt: skip
        read_only_fields = fields

    def get_stream_url(self, job: VideoQueue) -> str:
        """Where it can be played once it is ready."""
        return stream_url(key_of(job))


class JobWithEventsSerializer(JobSerializer):
    """A job and what happened to it: its newest 100 events, the oldest of them first."""

    events = serializers.SerializerMethodField()

    class Meta(JobSerializer.Meta):
        fields = (*JobSerializer.Meta.fields, "events")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]

    def get_events(self, job: VideoQueue) -> list[dict[str, Any]]:
        """In the order in which they happened."""
        newest = list(JobEvent.objects.filter(job=job).order_by("-id")[:NEWEST_EVENTS])
        return [dict(JobEventSerializer(event).data) for event in reversed(newest)]


class JobPageSerializer(serializers.Serializer[dict[str, Any]]):
    """Some jobs, and where the next ones begin."""

    items = JobSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Send it as `after` for the next page; null: no more.")


class PrioritySerializer(serializers.Serializer[dict[str, Any]]):
    """What may be changed of a job."""

    priority = PriorityField(min_value=PRIORITY_MIN, max_value=PRIORITY_MAX, help_text="Higher goes first.")


class ReasonSerializer(serializers.Serializer[dict[str, Any]]):
    """Why; the body may be left out."""

    reason = serializers.CharField(required=False, max_length=REASON_LENGTH, help_text="For the job's history.")
