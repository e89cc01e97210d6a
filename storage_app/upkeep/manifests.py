"""Writes the manifests of videos anew whose facts have changed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from storage_app.models import StorageTask, VideoStore
from storage_app.upkeep.lease import Beat


def write_manifests(task: StorageTask, beat: Beat) -> None:
    """Task: every video that has this stored file. Raises StorageError."""
    refresh = _refresh()
    if refresh is None:
        return
    for video in VideoStore.objects.filter(stored_file=task.stored_file):
        beat.check()
        refresh(video, actor=task.actor)


def _refresh() -> Callable[..., Any] | None:
    if find_spec("storage_app.manifest") is None:
        return None
    return getattr(import_module("storage_app.manifest"), "refresh", None)
