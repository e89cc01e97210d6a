"""States of a job and what they are called everywhere: table, SQL, API, metrics, admin."""

from __future__ import annotations

from django.db import models


class VideoStatus(models.TextChoices):
    """States of a row of `video_queue`: pending → downloading → uploading → ready, or failed, or cancelled."""

    PENDING = "pending", "Pending"
    DOWNLOADING = "downloading", "Downloading"
    UPLOADING = "uploading", "Uploading"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class MediaJobStatus(models.TextChoices):
    """States of a row of `media_job`."""

    PENDING = "pending", "Pending"
    PROCESSING = "processing", "Processing"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class MediaJobKind(models.TextChoices):
    """What a media job makes out of a stored video."""

    TRANSCODE = "transcode", "HLS ladder"
    TRANSCRIBE = "transcribe", "Captions"


class Lane(models.TextChoices):
    """The two queues of a worker. Each has its own processes, so that uploads never wait behind downloads."""

    DOWNLOAD = "download", "Download"
    UPLOAD = "upload", "Upload"


IN_WORK: tuple[VideoStatus, ...] = (VideoStatus.DOWNLOADING, VideoStatus.UPLOADING)
