"""Whose folders are kept, who may take them over, and what is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import override_settings

from queue_app import queue, scratch
from queue_app.failures import BadSource, Cancelled, Transient
from queue_app.models import VideoQueue
from queue_app.queue import Lease
from queue_app.states import Lane
from storage_app.naming import VideoKey

pytestmark = pytest.mark.django_db
TRANSIENT = Transient("cut")


@pytest.fixture(autouse=True)
def work_dir(tmp_path: Path) -> Iterator[Path]:
    with override_settings(WORK_DIR=tmp_path):
        yield tmp_path


def claim(worker: str = "ann") -> Lease:
    """A lease on the only job, added if there is none yet; due at once."""
    queue.enqueue_video(VideoKey(1, 1, "test", "720p"), "http://a.example/a.mp4")
    VideoQueue.objects.update(not_before=None)
    (lease,) = queue.claim_videos(Lane.DOWNLOAD, worker, capacity=9, limit=9, lease=timedelta(seconds=60))
    return lease


def leave_a_part(lease: Lease, content: str = "half") -> Path:
    """What an attempt that came to its end has left."""
    with scratch.held("ann", lease) as folder:
        (folder / "source.part").write_text(content)
    return folder


def files(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


def test_the_next_attempt_here_takes_over_what_the_last_one_left() -> None:
    first = claim()
    old = leave_a_part(first)
    queue.fail_video(first, TRANSIENT)
    assert scratch.sweep("ann") == 0
    with scratch.held("ann", claim()) as folder:
        assert (files(folder), old.exists()) == (["half"], False)


def test_the_newest_of_several_is_taken_and_the_others_are_removed() -> None:
    lease = claim()
    for age, content in ((60, "old"), (10, "new"), (90, "oldest")):
        folder = scratch.folder("ann", Lease(lease.job_id, uuid4()))
        folder.mkdir(parents=True)
        (folder / "source.part").write_text(content)
        os.utime(folder, (10**9 - age, 10**9 - age))
    with scratch.held("ann", lease) as own:
        assert files(own) == ["new"]
        assert scratch.sweep("ann") == 2
        assert files(own) == ["new"]


def test_a_folder_whose_task_lives_is_never_taken_over() -> None:
    first = claim()
    with scratch.held("ann", first) as old:
        (old / "source.part").write_text("half")
        queue.fail_video(first, TRANSIENT)
        with scratch.held("ann", claim()) as own:
            assert (files(own), files(old)) == ([], ["half"])


def test_a_folder_is_free_once_its_process_was_killed() -> None:
    first = claim()
    folder = leave_a_part(first)
    hold = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", hold, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    queue.fail_video(first, TRANSIENT)
    second = claim()
    with scratch.held("ann", second) as own:
        assert files(own) == []
    scratch.discard(own)
    process.kill()
    process.communicate()
    with scratch.held("ann", second) as own:
        assert files(own) == ["half"]


def test_the_same_attempt_is_not_run_twice_at_once() -> None:
    lease = claim()
    with scratch.held("ann", lease) as folder:
        folder.with_name(str(uuid4())).mkdir()
        with pytest.raises(Cancelled), scratch.held("ann", lease):
            pass


def test_a_claimed_job_keeps_what_it_has_not_taken_over_yet() -> None:
    first = claim()
    leave_a_part(first)
    queue.fail_video(first, TRANSIENT)
    second = claim()
    assert scratch.sweep("ann") == 0
    with scratch.held("ann", second) as folder:
        assert files(folder) == ["half"]
        assert scratch.sweep("ann") == 0


def test_a_job_that_a_stopped_worker_gave_back_keeps_its_files() -> None:
    folder = leave_a_part(claim())
    queue.release_worker_videos("ann", "stopped", charge=False)
    assert scratch.sweep("ann") == 0
    assert files(folder) == ["half"]


def test_a_job_that_another_worker_has_keeps_nothing_here(work_dir: Path) -> None:
    first = claim()
    leave_a_part(first)
    queue.fail_video(first, TRANSIENT)
    claim("bob")
    assert scratch.sweep("ann") == 1
    assert list((work_dir / "ann").iterdir()) == []


@pytest.mark.parametrize("status", ["failed", "cancelled", "ready"])
def test_a_job_that_is_over_keeps_nothing(status: str) -> None:
    leave_a_part(claim())
    VideoQueue.objects.update(status=status, lease_token=None, lease_expires_at=None)
    assert scratch.sweep("ann") == 1


def test_a_job_that_failed_for_good_or_was_reset_keeps_nothing() -> None:
    first = claim()
    leave_a_part(first)
    queue.fail_video(first, BadSource("no video"))
    assert scratch.sweep("ann") == 1
    second = claim_again(first)
    leave_a_part(second)
    queue.reset_videos([second.job_id], actor="ann", reason="reset")
    assert scratch.sweep("ann") == 1


def claim_again(lease: Lease) -> Lease:
    queue.reset_videos([lease.job_id], actor="ann", reason="again")
    return claim()


def test_a_downloaded_file_is_kept_for_its_upload() -> None:
    lease = claim()
    folder = leave_a_part(lease)
    queue.finish_download(lease, {"attempt": str(lease.token), "size": 4})
    assert scratch.sweep("ann") == 0
    queue.claim_videos(Lane.UPLOAD, "ann", capacity=9, limit=9, lease=timedelta(seconds=60))
    assert scratch.sweep("ann") == 0
    assert files(folder) == ["half"]


def test_a_removal_that_was_interrupted_is_ended_and_never_taken_over(work_dir: Path) -> None:
    first = claim()
    folder = leave_a_part(first)
    folder.rename(folder.with_name(folder.name + ".gone"))
    queue.fail_video(first, TRANSIENT)
    with scratch.held("ann", claim()) as own:
        assert files(own) == []
        assert scratch.sweep("ann") == 1
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_strange_names_are_removed(work_dir: Path) -> None:
    (work_dir / "ann" / "no-job" / "no-attempt").mkdir(parents=True)
    assert scratch.sweep("ann") == 1


def test_on_a_full_disk_what_waits_gives_way_to_what_works() -> None:
    first = claim()
    waiting = leave_a_part(first)
    queue.fail_video(first, TRANSIENT)
    other = uuid4()
    assert scratch.make_room("ann", first.job_id) == 0
    assert scratch.make_room("bob", other) == 0
    assert scratch.make_room("ann", other) == 1
    assert not waiting.exists()


def test_on_a_full_disk_what_is_in_work_stays() -> None:
    working = leave_a_part(claim())
    assert scratch.make_room("ann", uuid4()) == 0
    assert files(working) == ["half"]
