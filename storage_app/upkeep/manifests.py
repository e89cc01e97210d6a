"""Writes the manifests of videos anew whose facts have changed."""

from __future__ import annotations

from storage_app import manifest
from storage_app.models import StorageTask, VideoStore
from storage_app.upkeep import jobs
from storage_app.upkeep.lease import Beat, Postpone
from storage_app.upkeep.losses import CHANGING_WAIT


def write_manifests(task: StorageTask, beat: Beat) -> None:
    """Task: every video that has this stored file. Raises StorageError; Postpone when a job is storing one of them,
    which writes its manifest itself."""
    changing: list[VideoStore] = []
    for video in VideoStore.objects.filter(stored_file=task.stored_file):
        beat.check()
        if jobs.being_stored(f"{video.mal_id}/ep{video.episode}/"):
            changing.append(video)
        else:
            manifest.refresh(video, actor=task.actor)
    if changing:
        text = f"A job is storing something of this episode: {changing[0]}. Its manifest is looked at afterwards."
        raise Postpone(text, CHANGING_WAIT)
