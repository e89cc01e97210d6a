"""manage.py cancel, requeue and drain."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from queue_app import queue
from queue_app.models import JobEvent, VideoQueue, Worker
from queue_app.states import VideoStatus
from storage_app.naming import VideoKey

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]


def make_job(status: str, episode: int = 1, **changes: Any) -> VideoQueue:
    job = queue.enqueue_video(VideoKey(1, episode, "p", None), "https://example.com/v.mp4")
    VideoQueue.objects.filter(pk=job.pk).update(status=status, **changes)
    return job


def statuses() -> list[str]:
    return list(VideoQueue.objects.order_by("episode").values_list("status", flat=True))


def run(code: int, *arguments: Any) -> None:
    with pytest.raises(SystemExit) if code else nullcontext() as end:
        call_command(*(str(argument) for argument in arguments))
    assert code == (end.value.code if end else 0)


# --- cancel ---


def test_jobs_are_cancelled_and_the_history_says_by_whom(capsys: Output) -> None:
    job = make_job("downloading")
    run(0, "cancel", job.pk, "--reason", "Wrong one.")
    assert capsys.readouterr().out == f"{job.pk}: cancelled\n"
    event = JobEvent.objects.latest("id")
    assert (event.actor, event.reason, event.to_status) == ("manage.py", "Wrong one.", "cancelled")


def test_a_job_that_cannot_be_cancelled_is_named_and_the_others_are_taken(capsys: Output) -> None:
    ready, pending, unknown = make_job("ready", 1), make_job("pending", 2), uuid4()
    run(1, "cancel", ready.pk, pending.pk, unknown)
    assert statuses() == ["ready", "cancelled"]
    errors = capsys.readouterr().err
    assert f"{ready.pk}: it is ready; only jobs that have not ended can be cancelled." in errors
    assert f"{unknown}: there is no job with this id." in errors


def test_cancel_tells_a_programme_in_json(capsys: Output) -> None:
    job, unknown = make_job("pending"), uuid4()
    run(1, "cancel", job.pk, unknown, "--json")
    assert json.loads(capsys.readouterr().out) == {
        "cancelled": [str(job.pk)], "refused": {}, "unknown": [str(unknown)],
    }  # fmt: skip


def test_what_is_no_id_is_named() -> None:
    with pytest.raises(CommandError, match="'junk' is no job's id"):
        call_command("cancel", "junk")


# --- requeue ---


def test_a_failed_job_that_is_named_is_requeued(capsys: Output) -> None:
    failed, ready = make_job("failed", 1), make_job("ready", 2)
    run(1, "requeue", failed.pk, ready.pk)
    assert statuses() == ["pending", "ready"]
    assert "only failed jobs can be requeued" in capsys.readouterr().err


def test_all_failed_jobs_are_requeued_and_no_others(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queue_app.steering.BATCH", 2)
    for episode, status in enumerate([*VideoStatus.values, *["failed"] * 4]):
        make_job(status, episode)
    run(0, "requeue", "--all-failed", "--json")
    assert json.loads(capsys.readouterr().out) == {"requeued": 5}
    assert "failed" not in statuses()
    assert {"ready", "cancelled", "downloading", "uploading"} <= set(statuses())


def test_all_failed_jobs_of_one_class_are_requeued(capsys: Output) -> None:
    make_job("failed", 1, failure_class="gone")
    make_job("failed", 2, failure_class="transient")
    run(0, "requeue", "--all-failed", "--class", "transient")
    assert (statuses(), capsys.readouterr().out) == (["failed", "pending"], "1 requeued.\n")


@pytest.mark.parametrize("arguments", [[], [str(uuid4()), "--all-failed"], [str(uuid4()), "--class", "gone"]])
def test_an_order_that_contradicts_itself_is_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="--all-failed"):
        call_command("requeue", *arguments)


# --- drain ---


def test_a_drained_worker_takes_nothing_until_it_is_undone(capsys: Output) -> None:
    Worker.objects.create(id="w1", host="h", pid=1, version="1", capacity=2)
    run(0, "drain", "w1")
    assert Worker.objects.get().draining
    run(0, "drain", "w1", "--undo", "--json")
    assert not Worker.objects.get().draining
    assert capsys.readouterr().out.endswith('{"taking_jobs": ["w1"], "unknown": []}\n')


def test_an_unknown_worker_is_named(capsys: Output) -> None:
    run(1, "drain", "nobody")
    assert "nobody: there is no worker with this id" in capsys.readouterr().err
