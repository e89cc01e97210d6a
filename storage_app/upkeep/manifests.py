"""Writes the manifests of videos anew whose facts have changed."""

from __future__ import annotations

from storage_app import manifest
from storage_app.models import StorageTask, VideoStore
from storage_app.upkeep.lease import Beat


def write_manifests(task: StorageTask, beat: Beat) -> None:
    """Task: every video that has this stored file. Raises StorageError."""
    for video in VideoStore.objects.filter(stored_file=task.stored_file):
        beat.check()
        manifest.refresh(video, actor=task.actor)
