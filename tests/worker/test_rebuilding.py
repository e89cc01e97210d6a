"""What real workers have archived comes back when the database is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from queue_app.models import VideoQueue
from storage_app.models import Replica, Sidecar, StorageAccount, StorageTask, StoredFile, VideoStore
from tests.playing import play
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.worker.conftest import StartWorker, add, finished

FILE = ("stored_file__repo", "stored_file__path", "stored_file__sha256")
TOLD = ("size", "duration", "content_type", "media", "proof")


def everything() -> dict[str, list[Any]]:
    """All rows but for their ids and times."""
    columns = [field.attname for field in VideoStore._meta.concrete_fields]
    lost = {"id", "created_at", "stored_file_id"}
    rows = {
        "videos": VideoStore.objects.values(*(name for name in columns if name not in lost), *FILE),
        "files": StoredFile.objects.values("repo", "path", "sha256", *TOLD),
        "sidecars": Sidecar.objects.values("video__episode", "kind", "language", "name", *FILE),
        "copies": Replica.objects.values("account_id", *FILE),
        "jobs": VideoQueue.objects.values("mal_id", "episode", "provider", "resolution", "status"),
    }
    return {name: sorted(found, key=str) for name, found in rows.items()}


def test_what_workers_archived_comes_back_and_plays(
    start_worker: StartWorker,
    origin: Origin,
    videos: Videos,
    accounts: list[StorageAccount],
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = start_worker()
    for episode, source in enumerate([videos.mp4, videos.mkv, videos.mp4]):  # the third has the first one's content
        url = origin.put(f"/{episode}{source.suffix}", source.read_bytes())
        assert finished(add(f"{url}?sig=secret", episode)).status == "ready"
    worker.stop_when_up()
    call_command("write_manifests")
    before = everything()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE video_queue, video_store, stored_file, storage_task CASCADE")
    capsys.readouterr()
    call_command("rebuild_store", "--json")
    assert json.loads(capsys.readouterr().out)["restored"] == 3
    assert everything() == before
    assert not StorageTask.objects.exists()
    assert play("/stream/55825/2/test/720p").body == videos.mp4.read_bytes()
    manifests = [path for account in accounts for path in Path(account.root).rglob("*.json")]
    assert len(manifests) == 6
    assert not any(b"secret" in path.read_bytes() for path in manifests)
