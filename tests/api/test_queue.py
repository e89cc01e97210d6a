"""/api/v1/queue: looking at jobs and steering them."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from queue_app import queue
from queue_app.failures import Transient
from queue_app.models import JobEvent, VideoQueue
from queue_app.states import Lane
from storage_app.naming import VideoKey
from tests.api.conftest import LEASE
from tests.environment import API_TOKEN, TRIGGER_TOKEN

pytestmark = pytest.mark.django_db

URL = "/api/v1/queue"
NO_PRIORITY: list[Any] = [None, True, 1.5, "", "x", 32768, -32769, 10**50, []]

UNKNOWN = "0a7c2b5e-51f7-4b3e-9a3c-6f1d2e3c4b5a"


def call(method: str, path: str = "", body: Any = None, token: str = API_TOKEN) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"}
    return getattr(Client(), method)(URL + path, data, content_type="application/json", headers=headers)


def look(path: str = "") -> Any:
    answer = Client().get(URL + path, headers={"Authorization": f"Bearer {API_TOKEN}"})
    assert answer.status_code == 200, answer.content
    return answer.json()


def make_job(status: str = "pending", episode: int = 1, **changes: Any) -> VideoQueue:
    job = queue.enqueue_video(VideoKey(1, episode, "p", None), f"https://example.com/{episode}.mp4?sig=secret")
    VideoQueue.objects.filter(pk=job.pk).update(status=status, **changes)
    job.refresh_from_db()
    return job


# --- Who may ---


@pytest.mark.parametrize("path", ["", f"/{UNKNOWN}"])
@pytest.mark.parametrize("token", ["", "wrong", TRIGGER_TOKEN])
def test_only_the_api_token_opens_it(path: str, token: str) -> None:
    assert Client().get(URL + path, headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize("path", ["/cancel", "/requeue"])
def test_nobody_steers_without_the_token(path: str) -> None:
    job = make_job()
    assert call("post", f"/{job.pk}{path}", token="wrong").status_code == 401
    job.refresh_from_db()
    assert job.status == "pending"


# --- One job ---


def test_a_job_shows_how_far_it_has_come() -> None:
    job = make_job("downloading", bytes_done=50, bytes_total=200, speed=25, stage="download", worker_id="w1")
    seen = look(f"/{job.pk}")
    assert (seen["status"], seen["stage"], seen["percent"], seen["speed"]) == ("downloading", "download", 25, 25)
    assert (seen["bytes_done"], seen["bytes_total"], seen["worker_id"]) == (50, 200, "w1")
    assert seen["video_url"].endswith("?sig=secret")


def test_a_job_tells_what_its_attempts_moved_and_why_they_ended() -> None:
    job = make_job()
    (lease,) = queue.claim_videos(Lane.DOWNLOAD, "w1", capacity=1, limit=1, lease=LEASE)
    queue.heartbeat_video(lease, LEASE, "download", 4000, 9000, 100)
    queue.fail_video(lease, Transient("The connection broke off."))
    seen = look(f"/{job.pk}")
    last = seen["events"][-1]
    assert (seen["failure_class"], seen["attempt"]) == ("transient", 1)
    assert (last["bytes_done"], last["failure_class"], last["reason"]) == (
        4000,
        "transient",
        "The connection broke off.",
    )
    assert (last["from_status"], last["to_status"]) == ("downloading", "pending")
    assert last["seconds"] is not None


def test_a_long_history_is_cut_to_its_newest_part() -> None:
    job = make_job()
    JobEvent.objects.bulk_create(JobEvent(job=job, actor=f"actor-{n}", to_status="failed") for n in range(150))
    actors = [event["actor"] for event in look(f"/{job.pk}")["events"]]
    assert (len(actors), actors[0], actors[-1]) == (100, "actor-50", "actor-149")


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("patch", ""), ("post", "/cancel"), ("post", "/requeue")])
def test_an_unknown_job_is_404(method: str, path: str) -> None:
    body = {"priority": 1} if method == "patch" else None
    answer = call(method, f"/{uuid4()}{path}", body)
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no job with this id.")


def test_what_is_no_id_is_404_in_json() -> None:
    assert call("get", "/junk").status_code == 404


# --- Priority ---


@pytest.mark.parametrize("priority", [-32768, 0, 32767, "5"])
def test_a_priority_that_fits_is_set(priority: Any) -> None:
    job = make_job()
    assert call("patch", f"/{job.pk}", {"priority": priority}).json()["priority"] == int(priority)


@pytest.mark.parametrize("body", [{}, *({"priority": value} for value in NO_PRIORITY)])
def test_a_priority_that_is_none_is_refused_by_name(body: Any) -> None:
    answer = call("patch", f"/{make_job().pk}", body)
    assert (answer.status_code, list(answer.json())) == (400, ["priority"])


def test_the_higher_priority_goes_first() -> None:
    make_job(episode=1)
    urgent = make_job(episode=2)
    call("patch", f"/{urgent.pk}", {"priority": 7})
    (lease,) = queue.claim_videos(Lane.DOWNLOAD, "w1", capacity=1, limit=1, lease=LEASE)
    assert lease.job_id == urgent.pk


# --- Cancel and requeue ---


@pytest.mark.parametrize("status", ["pending", "downloading", "uploading"])
def test_a_job_that_has_not_ended_is_cancelled(status: str) -> None:
    job = make_job(status)
    answer = call("post", f"/{job.pk}/cancel", {"reason": "Wrong video."})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    last = look(f"/{job.pk}")["events"][-1]
    assert (last["actor"], last["reason"]) == ("API", "Wrong video.")


@pytest.mark.parametrize("status", ["ready", "failed", "cancelled"])
def test_a_job_that_has_ended_cannot_be_cancelled(status: str) -> None:
    answer = call("post", f"/{make_job(status).pk}/cancel")
    assert answer.status_code == 409
    assert status in answer.json()["detail"]


def test_a_failed_job_is_requeued_with_all_its_attempts() -> None:
    job = make_job("failed", attempt=5)
    answer = call("post", f"/{job.pk}/requeue").json()
    assert (answer["status"], answer["attempt"]) == ("pending", 0)


@pytest.mark.parametrize("status", ["pending", "downloading", "uploading", "ready", "cancelled"])
def test_a_job_that_is_not_failed_cannot_be_requeued(status: str) -> None:
    assert call("post", f"/{make_job(status).pk}/requeue").status_code == 409


@pytest.mark.parametrize("body", [{"reason": ""}, {"reason": "x" * 501}, {"reason": "a\0"}, {"reason": []}])
def test_a_reason_that_cannot_be_kept_is_refused_by_name(body: Any) -> None:
    answer = call("post", f"/{make_job().pk}/cancel", body)
    assert (answer.status_code, list(answer.json())) == (400, ["reason"])


@pytest.mark.parametrize("path", ["/cancel", "/requeue"])
def test_neither_answers_nor_logs_of_a_refusal_show_a_signature(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = call("post", f"/{make_job('ready').pk}{path}")
    assert "secret" not in answer.content.decode() + caplog.text


# --- Pages ---


def pages(query: str = "") -> list[list[int]]:
    found, after = [], ""
    while after is not None:
        page = look(f"?limit=3{query}" + (f"&after={after}" if after else ""))
        found.append([job["episode"] for job in page["items"]])
        after = page["next"]
    return found


def test_pages_follow_one_another_also_among_rows_of_one_moment() -> None:
    queue.enqueue_videos([video(episode) for episode in range(8)])
    found = pages()
    assert [len(page) for page in found] == [3, 3, 2]
    assert {episode for page in found for episode in page} == set(range(8))


def test_the_newest_comes_first() -> None:
    for episode in range(4):
        VideoQueue.objects.filter(pk=make_job(episode=episode).pk).update(created_at=f"2026-01-0{episode + 1}T00:00Z")
    assert pages() == [[3, 2, 1], [0]]


def test_a_status_shows_its_own_jobs_only() -> None:
    for episode, status in enumerate(["failed", "ready", "failed", "pending", "failed", "failed"]):
        make_job(status, episode, updated_at=Now())
    assert sorted(episode for page in pages("&status=failed") for episode in page) == [0, 2, 4, 5]


def test_a_page_takes_one_query(django_assert_num_queries: Any) -> None:
    queue.enqueue_videos([video(episode) for episode in range(60)])
    with django_assert_num_queries(1):
        page = look("?status=pending")
    assert (len(page["items"]), page["next"] is None) == (50, False)


@pytest.mark.parametrize("query", ["", "status=failed"])
def test_a_page_far_behind_is_found_by_the_index(query: str) -> None:
    queue.enqueue_videos([video(episode) for episode in range(500)])
    VideoQueue.objects.update(status="failed")
    after = look(f"?{query}&limit=200")["next"]
    with connection.execute_wrapper(explained := Explained()):
        look(f"?{query}&limit=10&after={after}")
    assert "Index Cond" in explained.plan
    assert "ROW(" in explained.plan.split("Index Cond")[1]
    assert "Sort" not in explained.plan


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=x", "status"), ("limit=0", "limit"), ("limit=201", "limit"), ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=٣", "limit"), ("after=x", "after"), ("after=%00", "after"), ("after=é", "after"),
        ("status=%00", "status"),
        ("after=MjAyNi0xMS0yMSBqdW5r", "after"),
    ],
)  # fmt: skip
def test_a_query_that_is_not_understood_names_its_field(query: str, field: str) -> None:
    answer = Client().get(f"{URL}?{query}", headers={"Authorization": f"Bearer {API_TOKEN}"})
    assert (answer.status_code, list(answer.json())) == (400, [field])


def video(episode: int) -> dict[str, Any]:
    return {"mal_id": 1, "episode": episode, "provider": "p", "video_url": f"https://example.com/{episode}.mp4"}


class Explained:
    """Keeps the plan of the last query on the queue, as it is without the costs that favour a small table's scan."""

    plan = ""

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if 'FROM "video_queue"' in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
                cursor.execute("SET LOCAL enable_sort = off")
                self.plan = "\n".join(row[0] for row in cursor.execute("EXPLAIN " + sql, params).fetchall())
        return execute(sql, params, many, context)
