"""Pages, what lies beside their videos, and what is kept of refused ones, through a real worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from queue_app.models import JobEvent
from storage_app.models import Sidecar, StorageAccount, VideoStore
from tests.servers.origin import Origin, Status
from tests.servers.videos import Videos
from tests.worker.conftest import StartWorker, add, eventually, finished

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
VTT = b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n"
PAGE = """<!doctype html><title>The first lecture</title>
<meta property="og:title" content="The first lecture"><meta property="og:image" content="/poster.png">
<video src="/talk.mp4" poster="/poster.png"><track kind="subtitles" srclang="de" src="/de.vtt"></video>"""


@pytest.fixture
def page(origin: Origin, videos: Videos) -> str:
    origin.put("/talk.mp4", videos.mp4.read_bytes())
    origin.put("/poster.png", PNG)
    origin.put("/de.vtt", VTT)
    return origin.put("/watch.html", PAGE.encode())


def test_a_pages_video_is_archived_with_its_title_thumbnail_and_subtitles(
    page: str, start_worker: StartWorker, accounts: list[StorageAccount]
) -> None:
    worker = start_worker()
    job = finished(add(page))
    assert (job.status, job.error_message) == ("ready", None)
    video = VideoStore.objects.get()
    assert video.title == "The first lecture"
    beside = {sidecar.kind: sidecar for sidecar in video.sidecars.select_related("stored_file")}
    contents = {}
    for kind, sidecar in beside.items():
        file = sidecar.stored_file
        contents[kind] = {(Path(account.root) / file.repo / file.path).read_bytes() for account in accounts}
        assert file.path.startswith(f"55825/ep1/{video.file_key}.")
        assert file.replicas.count() == 2
    [manifest] = contents.pop("manifest")
    assert contents == {"thumbnail": {PNG}, "subtitles": {VTT}}
    assert json.loads(manifest)["sidecars"][0]["kind"] == "thumbnail"
    assert beside["subtitles"].language == "de"
    eventually(lambda: not worker.scratch_files())


def test_an_expired_url_is_renewed_by_its_page(page: str, start_worker: StartWorker, origin: Origin) -> None:
    origin.misbehave("/old.mp4", Status(code=403))
    start_worker()
    job = finished(add(origin.url("/old.mp4"), page_url=page))
    assert (job.status, job.retry_count) == ("ready", 0)
    assert VideoStore.objects.get().title == "The first lecture"


def test_archiving_anew_takes_the_place_of_what_lay_beside(
    page: str, start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    from queue_app import queue

    start_worker()
    job = finished(add(page))
    origin.put("/de.vtt", VTT.replace(b"Hello", b"Hallo"))
    queue.reset_videos([job.id], actor="test", reason="anew")
    eventually(lambda: JobEvent.objects.filter(to_status="ready").count() == 2)
    assert sorted(Sidecar.objects.values_list("kind", flat=True)) == ["manifest", "subtitles", "thumbnail"]
    assert not Sidecar.objects.filter(stored_file__replicas=None).exists()


@pytest.mark.parametrize("asked", [True, False])
def test_a_refused_video_is_kept_aside_if_the_operator_asks(
    asked: bool, start_worker: StartWorker, origin: Origin, videos: Videos, tmp_path: Path
) -> None:
    damaged = bytearray(videos.mp4.read_bytes())
    damaged[60_000:90_000] = bytes(30_000)
    kept = tmp_path / "quarantine"
    worker = start_worker(**({"QUARANTINE_DIR": str(kept)} if asked else {}))
    job = finished(add(origin.put("/a.mp4", bytes(damaged))))
    assert (job.status, job.failure_class) == ("failed", "bad_source")
    eventually(lambda: not worker.scratch_files())
    if not asked:
        assert not kept.exists()
        return
    [folder] = kept.iterdir()
    assert folder.name in (job.error_message or "")
    assert {path.name for path in folder.iterdir()} == {"source.mp4", "reason.json"}
    assert (folder / "source.mp4").read_bytes() == bytes(damaged)
    assert json.loads((folder / "reason.json").read_text())["failure_class"] == "bad_source"
    assert JobEvent.objects.filter(to_status="failed").get().details
