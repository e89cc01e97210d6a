"""What a process does after a job: the next one, or room for others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import pytest
from django.conf import settings

from queue_app import next_job, queue
from queue_app.models import VideoQueue
from queue_app.next_job import Spell, stop_going_on
from queue_app.states import Lane
from storage_app.naming import VideoKey
from tests.conftest import Client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def lane_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a lane of one process that hasn't been told to stop."""
    monkeypatch.setattr(settings, "WORKER_ID", "w1")
    monkeypatch.setattr(settings, "MAX_CONCURRENT", 1)
    monkeypatch.setattr(next_job, "_stopping", multiprocessing.RawValue("b", 0))


def add(episode: int = 1) -> VideoQueue:
    return queue.enqueue_video(VideoKey(1, episode, "p", None), "https://example.org/1.mp4")


def test_a_process_takes_the_next_job_within_the_limit_of_its_worker() -> None:
    first, _second = add(1), add(2)
    spell = Spell(Lane.DOWNLOAD)
    taken = spell.next_job()
    assert taken is not None
    assert (taken.id, taken.status, taken.worker_id) == (first.id, "downloading", "w1")
    assert spell.next_job() is None


def test_a_lane_that_stops_takes_nothing_more() -> None:
    add()
    stop_going_on()
    assert Spell(Lane.DOWNLOAD).next_job() is None
    assert VideoQueue.objects.get().status == "pending"


def test_a_process_that_has_gone_on_for_long_leaves_the_slot_to_the_broker(
    monkeypatch: pytest.MonkeyPatch, connect: Callable[[], Client]
) -> None:
    add()
    monkeypatch.setattr(next_job, "GO_ON_SECONDS", 0.0)
    listener = connect()
    listener.execute("LISTEN video_queue_download")
    assert Spell(Lane.DOWNLOAD).next_job() is None
    assert VideoQueue.objects.get().status == "pending"
    assert [notice.channel for notice in listener.notifies(timeout=5, stop_after=1)] == ["video_queue_download"]
