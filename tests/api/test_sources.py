"""Where else a video may be had: its page, and mirrors of its file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from queue_app import queue
from queue_app.failures import BadSource
from queue_app.models import JobEvent, VideoQueue
from queue_app.states import Lane
from tests.api.conftest import LEASE, VIDEO, Send
from tests.environment import API_TOKEN

PAGE = "https://93.184.216.34/watch/1"
MIRRORS = ["https://93.184.216.35/a.mp4", "https://93.184.216.36/a.mp4"]
MORE = {"page_url": PAGE, "mirrors": MIRRORS}


def kept() -> tuple[str, list[str]]:
    job = VideoQueue.objects.get()
    return job.page_url, job.options.get("mirrors", [])


@pytest.mark.parametrize("wrap", [lambda video: video, lambda video: [video]], ids=["one", "list"])
def test_page_and_mirrors_are_kept_with_the_job(send: Send, wrap: Callable[[Any], Any]) -> None:
    assert send(wrap({**VIDEO, **MORE})).status_code == 202
    assert kept() == (PAGE, MIRRORS)


@pytest.mark.parametrize("nothing", [{"page_url": None, "mirrors": None}, {"page_url": "", "mirrors": []}])
def test_nothing_given_is_the_same_as_left_out(send: Send, nothing: dict[str, Any]) -> None:
    assert send({**VIDEO, **nothing}).status_code == 202
    assert kept() == ("", [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("page_url", "http://127.0.0.1/watch"),
        ("page_url", "ftp://example.org/"),
        ("page_url", 5),
        ("mirrors", ["http://10.0.0.1/a.mp4"]),
        ("mirrors", "http://169.254.169.254/"),
        ("mirrors", [None]),
        ("mirrors", [f"https://93.184.216.34/{n}.mp4" for n in range(9)]),
        ("mirrors", {}),
    ],
)
def test_what_may_not_be_fetched_is_refused_by_its_field(
    refuse: Callable[..., Any], send: Send, field: str, value: Any
) -> None:
    assert list(refuse(**{field: value})) == [field]
    item = send([{**VIDEO, field: value}]).json()["items"][0]
    assert list(item["errors"]) == [field]
    assert not VideoQueue.objects.exists()


def test_a_revived_job_forgets_where_the_old_url_came_from(send: Send) -> None:
    send({**VIDEO, **MORE})
    VideoQueue.objects.update(status="failed")
    assert send({**VIDEO, "video_url": "https://93.184.216.34/other.mp4"}).status_code == 202
    assert kept() == ("", [])


def test_a_job_in_work_keeps_its_source(send: Send) -> None:
    send(VIDEO)
    VideoQueue.objects.update(status="downloading")
    assert send({**VIDEO, **MORE}).status_code == 202
    assert kept() == ("", [])


def test_a_file_may_name_them_too(db: None, tmp_path: Any) -> None:
    file = tmp_path / "videos.csv"
    file.write_text(
        f"mal_id,episode,provider,video_url,page_url,mirrors\n1,1,x,{MIRRORS[0]},{PAGE},{' '.join(MIRRORS)}\n"
    )
    call_command("add_videos", str(file), stdout=io.StringIO())
    assert kept() == (PAGE, MIRRORS)


def test_the_job_tells_them_and_what_programs_said(send: Send) -> None:
    job_id = send({**VIDEO, **MORE}).json()["id"]
    [lease] = queue.claim_videos(Lane.DOWNLOAD, "w", capacity=1, limit=1, lease=LEASE)
    queue.fail_video(lease, BadSource("It is damaged.", details="[h264] error while decoding MB 3 4"))
    answer = Client().get(f"/api/v1/queue/{job_id}", headers={"Authorization": f"Bearer {API_TOKEN}"})
    told = json.loads(answer.content)
    assert (told["page_url"], told["mirrors"]) == (PAGE, MIRRORS)
    assert [event["details"] for event in told["events"]][-1] == "[h264] error while decoding MB 3 4"
    assert list(JobEvent.objects.values_list("details", flat=True))[:-1] == ["", ""]
