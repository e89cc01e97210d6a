"""The first stage of a job: fetch, make it one MP4 if it is something else, prove it whole, hand it over."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from django.conf import settings

from archive_site.safe_http import display_url
from queue_app import queue, scratch
from queue_app.artifact import Artifact, key_of, own_place
from queue_app.downloaders import Downloaded, Source, download
from queue_app.failures import BadSource, Cancelled, Failure, Transient
from queue_app.fetching import fetch_limits, fetch_policy, media_tools
from queue_app.heartbeat import Heartbeat
from queue_app.media.caps import GIB
from queue_app.media.ffmpeg import Tools
from queue_app.media.holes import Segments
from queue_app.media.join import join_to_mp4
from queue_app.media.probe import probe
from queue_app.media.proof import PROOF_SECONDS, prove, sha256_file
from queue_app.media.remux import needs_remux, remux_to_mp4
from queue_app.media.report import ProofReport
from queue_app.media.streams import MediaInfo
from queue_app.media.structure import check_structure
from queue_app.models import VideoQueue
from queue_app.patience import through_outages
from queue_app.quarantine import keep_aside, make_room
from queue_app.queue import Lease
from queue_app.reservation import Booking
from queue_app.send_ahead import SendAhead
from queue_app.sidecars import sidecars_of

log = logging.getLogger(__name__)

REMUXED = "video.mp4"
JOINT_SECONDS = 1.0
"""So near a discontinuity the time stamps may jump."""


def fetch_and_prove(job: VideoQueue, lease: Lease, heartbeat: Heartbeat) -> None:
    """Ends with the job handed to this worker's upload lane. Raises a Failure or Cancelled."""
    with scratch.held(settings.WORKER_ID, lease) as folder:
        try:
            artifact = _artifact_of(job, folder, lease, heartbeat)
        except BadSource as failure:
            _keep_aside(job, folder, failure)
            raise
        _hand_over(job, lease, artifact)
        _discard_parts(folder, artifact)


def _artifact_of(job: VideoQueue, folder: Path, lease: Lease, heartbeat: Heartbeat) -> Artifact:
    """Fetched and proven; room is reserved for it, and where that can be it has been sent ahead meanwhile."""
    with SendAhead(folder, own_place(key_of(job))) as ahead:
        onlooker = ahead if settings.SEND_AHEAD else None
        booking = Booking(job, lease, heartbeat, onlooker)
        with heartbeat.interrupting():
            fetched = download(
                _source_of(job),
                folder,
                policy=fetch_policy(),
                limits=replace(fetch_limits(), onlooker=onlooker),
                progress=booking.progress,
            )
        artifact = _prove_whole(fetched, folder, lease, heartbeat)
        ahead.finish()
        booking.reserve(artifact.size + sum(sidecar.size for sidecar in artifact.sidecars))
    return artifact


def _source_of(job: VideoQueue) -> Source:
    return Source(
        job.video_url,
        job.resolution,
        mirrors=tuple(job.options.get("mirrors", ())),
        page_url=job.page_url,
    )


def _prove_whole(fetched: Downloaded, folder: Path, lease: Lease, heartbeat: Heartbeat) -> Artifact:
    try:
        video, sha256, report = _as_proven_mp4(fetched, folder / REMUXED, heartbeat)
    except BadSource as failure:
        if not fetched.resumed:
            raise
        scratch.empty(folder)
        reason = "The resumed download did not prove to be whole; it starts again from zero."
        raise Transient(f"{reason} {failure}", details=failure.details) from failure
    return Artifact(
        attempt=str(lease.token),
        name=video.name,
        size=video.stat().st_size,
        sha256=sha256 or sha256_file(video, heartbeat.progress),
        media=report.media.as_json(),
        proof={**report.as_json(), **_told_by_page(fetched)},
        title=fetched.page.title if fetched.page else "",
        sidecars=sidecars_of(fetched),
    )


def _told_by_page(fetched: Downloaded) -> dict[str, Any]:
    if fetched.page is None:
        return {}
    return {"page": display_url(fetched.page.url), "page_duration": fetched.page.duration}


def _as_proven_mp4(fetched: Downloaded, remuxed: Path, heartbeat: Heartbeat) -> tuple[Path, str | None, ProofReport]:
    """The fetched file, or `remuxed` if it had to become an MP4; its sha256 if known, and the proof."""
    tools = media_tools()
    # Of an earlier attempt, whose ffmpeg could outlive it where `setpriv` is missing: let it write into nowhere.
    for left in (remuxed, remuxed.with_name(f"{remuxed.name}.part")):
        left.unlink(missing_ok=True)
    heartbeat.enter("prove")
    info = probe(fetched.path, tools=tools, cancelled=heartbeat.check)
    expected, segments = fetched.expected_duration, _segments_of(fetched)
    if not needs_remux(fetched):
        return fetched.path, fetched.sha256, _prove(fetched.path, info, expected, segments, tools, heartbeat)
    if segments is None:
        # Whatever is missing at its end, a remux would quietly leave out.
        check_structure(fetched.path, info.container)
    if fetched.mp4:
        fetched.mp4.replace(remuxed)
    else:
        heartbeat.enter("remux")
        _make_mp4(fetched, remuxed, tools, heartbeat)
        heartbeat.enter("prove")
    expected = expected or info.duration
    info = probe(remuxed, tools=tools, cancelled=heartbeat.check)
    return remuxed, None, _prove(remuxed, info, expected, segments, tools, heartbeat)


def _make_mp4(fetched: Downloaded, target: Path, tools: Tools, heartbeat: Heartbeat) -> None:
    if fetched.tracks:
        join_to_mp4(fetched, target, tools=tools, cancelled=heartbeat.check)
    else:
        remux_to_mp4(fetched.path, target, container=fetched.container, tools=tools, cancelled=heartbeat.check)


def _segments_of(fetched: Downloaded) -> Segments | None:
    """None for a file; a playlist's segments follow one another without a hole, but for its discontinuities."""
    if fetched.expected_duration is None:
        return None
    groups = fetched.tracks[0].groups if fetched.tracks else ()
    joints = list(accumulate(group.duration for group in groups))[:-1]
    return Segments(tuple((joint - JOINT_SECONDS, joint + JOINT_SECONDS) for joint in joints))


def _prove(
    video: Path,
    info: MediaInfo,
    expected: float | None,
    segments: Segments | None,
    tools: Tools,
    heartbeat: Heartbeat,
) -> ProofReport:
    return prove(
        video,
        info,
        expected_duration=expected,
        mode=settings.PROOF,
        segments=segments,
        tools=tools,
        timeout=max(PROOF_SECONDS, 4 * info.duration),
        cancelled=heartbeat.check,
    )


def _hand_over(job: VideoQueue, lease: Lease, artifact: Artifact) -> None:
    if through_outages(lambda: queue.finish_download(lease, artifact.as_json())):
        log.info("%s: downloaded and proven, %d bytes.", job, artifact.size)
        return
    # The first try may have been committed although its answer was lost with the connection: then all is well.
    current = VideoQueue.objects.filter(id=job.id, worker_id=settings.WORKER_ID).values_list("artifact", flat=True)
    if not any(kept and kept["attempt"] == artifact.attempt for kept in current):
        raise Cancelled("The job was taken from this worker at the end of its download.")


def _discard_parts(folder: Path, artifact: Artifact) -> None:
    """Remove what the upload has no use for."""
    wanted = {artifact.name, *(sidecar.file for sidecar in artifact.sidecars)}
    # The upload may be done already, and the folder gone.
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.is_file() and path.name not in wanted:
                path.unlink(missing_ok=True)


def _keep_aside(job: VideoQueue, folder: Path, failure: Failure) -> None:
    if not settings.QUARANTINE_DIR:
        return
    try:
        kept = keep_aside(folder, settings.QUARANTINE_DIR, str(job.id), failure)
        make_room(settings.QUARANTINE_DIR, settings.QUARANTINE_GIB * GIB)
    except OSError as error:
        log.warning("%s: what arrived could not be kept aside (%s).", job, error.strerror or type(error).__name__)
        return
    if kept:
        log.warning("%s: what arrived is kept in %s.", job, kept)
        failure.args = (f"{failure} What arrived is kept in the quarantine as {kept.name}.",)
