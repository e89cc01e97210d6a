"""From the queue to the store, through a real worker."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.db import connection

from queue_app.models import JobEvent, VideoQueue, Worker
from storage_app.models import Replica, StorageAccount, VideoStore
from storage_app.naming import VideoKey
from tests.environment import HF_FILE_SALT
from tests.servers.origin import Body, Cut, Origin, Status
from tests.servers.videos import Videos, frame_hashes
from tests.worker.conftest import StartWorker, add, eventually, finished

KEY = VideoKey(55825, 1, "test", "720p").file_key(HF_FILE_SALT)


def copies(accounts: list[StorageAccount]) -> list[Path]:
    return [Path(account.root) / f"weaboo-55825/55825/ep1/{KEY}.mp4" for account in accounts]


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_mp4_is_kept_byte_for_byte_on_every_account(
    start_worker: StartWorker, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    worker = start_worker()
    job = finished(add(origin.put("/a.mp4", videos.mp4.read_bytes())))
    assert (job.status, job.error_message, job.retry_count) == ("ready", None, 0)
    assert [path.read_bytes() for path in copies(accounts)] == [videos.mp4.read_bytes()] * 2
    eventually(lambda: not worker.scratch_files())


def test_the_store_holds_what_the_contract_says(start_worker: StartWorker, origin: Origin, videos: Videos) -> None:
    start_worker()
    finished(add(origin.put("/a.mp4", videos.mp4.read_bytes())))
    row = VideoStore.objects.get()
    assert (row.file_key, row.hf_account, row.hf_repo) == (KEY, 1, "local1/weaboo-55825")
    assert row.hf_path == f"55825/ep1/{KEY}.mp4"
    assert row.stream_url == "https://archive.example/stream/55825/1/test/720p"
    assert row.stored_file is not None
    assert (row.stored_file.size, row.stored_file.replicas.count()) == (videos.mp4.stat().st_size, 2)


def test_an_hls_stream_becomes_an_mp4_of_the_same_frames(
    start_worker: StartWorker, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    shutil.copytree(videos.hls_ts, origin.folder / "hls")
    start_worker()
    assert finished(add(origin.url("/hls/master.m3u8"))).status == "ready"
    assert frame_hashes(copies(accounts)[0]) == frame_hashes(videos.ts)


def test_an_mkv_is_put_into_an_mp4_of_the_same_frames(
    start_worker: StartWorker, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    start_worker()
    assert finished(add(origin.put("/a.mkv", videos.mkv.read_bytes()))).status == "ready"
    assert frame_hashes(copies(accounts)[0]) == frame_hashes(videos.mkv)


@pytest.mark.parametrize(
    ("fault", "failure_class", "words"),
    [
        (Body(content=b"<!doctype html><p>Log in first</p>", content_type="text/html"), "bad_source", "web page"),
        (Status(code=404), "gone", "404"),
        (Body(content=b""), "bad_source", "empty|0 bytes|no bytes"),
        (Cut(after=5000), "transient", "promised"),
        (Body(content=b"\0" * 100_000), "bad_source", ""),
    ],
    ids=["html", "404", "empty", "short", "zeroes"],
)
def test_a_bad_source_fails_with_a_reason_and_leaves_nothing(
    start_worker: StartWorker, origin: Origin, videos: Videos, tmp_path: Path,
    fault: Body | Status | Cut, failure_class: str, words: str,
) -> None:  # fmt: skip
    url = origin.put("/a.mp4", videos.mp4.read_bytes())
    origin.misbehave("/a.mp4", fault)
    worker = start_worker()
    job = finished(add(url, max_attempts=1))
    assert (job.status, job.failure_class, job.retry_count) == ("failed", failure_class, 1), job.error_message
    assert job.error_message is not None
    assert any(word in job.error_message for word in words.split("|"))
    assert not VideoStore.objects.exists()
    eventually(lambda: not worker.scratch_files())
    eventually(lambda: not [path for name in ("account1", "account2") for path in files_below(tmp_path / name)])


def test_a_private_address_is_refused_by_the_worker_too(start_worker: StartWorker) -> None:
    start_worker()
    job = finished(add("http://127.0.0.1:1/a.mp4"))
    assert (job.status, job.failure_class) == ("failed", "forbidden")


def test_a_source_that_recovers_is_archived_without_anybody(
    start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    url = origin.put("/a.mp4", videos.mp4.read_bytes())
    origin.misbehave("/a.mp4", Status(code=503, times=2))
    start_worker()
    assert finished(add(url)).status == "ready"


def test_a_new_video_wakes_an_idle_worker_long_before_its_poll(
    start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    start_worker(POLL_INTERVAL="3600000")
    finished(add(origin.put("/a.mp4", videos.mp4.read_bytes())))
    job = finished(add(origin.url("/a.mp4"), episode=2))
    claimed = JobEvent.objects.get(job=job, to_status="downloading").at
    assert (claimed - job.created_at).total_seconds() < 5


def test_the_worker_is_counted_and_its_work_too(start_worker: StartWorker, origin: Origin, videos: Videos) -> None:
    start_worker(WORKER_ID="ann")
    finished(add(origin.put("/a.mp4", videos.mp4.read_bytes())))
    finished(add(origin.url("/missing.mp4"), episode=2))
    worker = Worker.objects.get()
    assert (worker.id, worker.done, worker.failed, worker.stopped_at) == ("ann", 1, 1, None)


def test_archiving_again_replaces_the_content_on_every_account(
    start_worker: StartWorker, origin: Origin, videos: Videos, accounts: list[StorageAccount]
) -> None:
    start_worker()
    job = finished(add(origin.put("/a.mp4", videos.mp4.read_bytes())))
    other = videos.mp4.read_bytes() + b"\0\0\0\x0cfree\0\0\0\0"  # an empty box more
    origin.put("/a.mp4", other)
    VideoQueue.objects.filter(id=job.id).update(status="pending")
    assert finished(job).status == "ready"
    assert [path.read_bytes() for path in copies(accounts)] == [other] * 2
    assert Replica.objects.filter(stored_file__content_type="video/mp4").count() == 2


def test_a_made_up_name_stays_the_workers_over_a_restart(start_worker: StartWorker) -> None:
    start_worker().stop_when_up()
    start_worker().stop_when_up()
    [row] = queue_stats()
    assert row["id"]
    assert (row["active_jobs"], row["done"], row["failed"]) == (0, 0, 0)


def test_debug_makes_the_worker_talkative(start_worker: StartWorker) -> None:
    worker = start_worker(DEBUG="true")
    eventually(lambda: worker.said(b" DEBUG "))


def queue_stats() -> list[dict[str, object]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM get_worker_stats()")
        names = [column.name for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
