"""The queue's pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils.timezone import now

from queue_app.models import JobEvent, VideoQueue
from queue_app.queue import enqueue_video
from storage_app.naming import VideoKey
from tests.admin.conftest import QUEUE, make_job, messages, text

Jobs = dict[str, VideoQueue]
NEW = {
    "mal_id": "7301234567890123456", "episode": "3", "provider": "douyin", "resolution": "",
    "video_url": "https://93.184.216.34/v.mp4",
}  # fmt: skip

UNKNOWN = "0a7c2b5e-51f7-4b3e-9a3c-6f1d2e3c4b5a"


def ids(answer: Any) -> set[str]:
    assert answer.status_code == 200
    return {job.status for job in answer.context["cl"].result_list}


def act(client: Client, action: str, jobs: list[VideoQueue], **more: str) -> Any:
    data = {"action": action, "_selected_action": [str(job.pk) for job in jobs], **more}
    return client.post(QUEUE, data, follow=True)


# --- List ---


def test_an_empty_queue_says_how_to_fill_it(operator: Client) -> None:
    assert "Nothing is queued" in text(operator.get(QUEUE))


def test_the_list_shows_every_state(operator: Client, jobs: Jobs) -> None:
    assert ids(operator.get(QUEUE)) == set(jobs)


def test_a_job_in_work_shows_percent_speed_and_time_left(operator: Client) -> None:
    make_job("downloading", bytes_done=50 * 2**20, bytes_total=200 * 2**20, speed=2**20)
    assert "25 % · 1.0 MB/s · 2:30 left" in text(operator.get(QUEUE))


def test_a_job_of_unknown_size_shows_what_it_has(operator: Client) -> None:
    make_job("downloading", bytes_done=50 * 2**20, speed=2**20)
    assert "50.0 MB · 1.0 MB/s" in text(operator.get(QUEUE))


def test_a_long_failure_is_shortened_and_escaped(operator: Client) -> None:
    make_job("failed", error_message="<script>" + "x" * 500)
    page = operator.get(QUEUE).content.decode()
    assert "<script>x" not in page
    assert "x…</span>" in page


@pytest.mark.parametrize("path", ["", "?status__exact=failed", "?activity=in-work", "?q=example"])
def test_a_page_takes_as_many_queries_with_many_jobs_as_with_one(
    operator: Client, path: str, django_assert_max_num_queries: Any
) -> None:
    for episode in range(30):
        make_job("failed" if episode % 2 else "downloading", episode, worker_id=f"w{episode}", error_message="x")
    with django_assert_max_num_queries(6):
        operator.get(QUEUE + path)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("activity=in-work", {"downloading", "uploading"}),
        ("activity=due", {"pending"}),
        ("activity=waiting", set()),
        ("status__exact=ready", {"ready"}),
        ("failure=gone", {"failed"}),
        ("failure=nonsense", {"pending", "downloading", "uploading", "ready", "failed", "cancelled"}),
        ("provider=other", set()),
    ],
)
def test_filters_answer_an_operators_questions(operator: Client, jobs: Jobs, query: str, found: set[str]) -> None:
    VideoQueue.objects.filter(status="failed").update(failure_class="gone")
    assert ids(operator.get(f"{QUEUE}?{query}")) == found


def test_a_job_that_waits_to_retry_is_found_as_such(operator: Client) -> None:
    make_job(not_before=now() + timedelta(minutes=5))
    assert ids(operator.get(f"{QUEUE}?activity=waiting")) == {"pending"}
    assert ids(operator.get(f"{QUEUE}?activity=due")) == set()


def test_search_finds_by_work_id_and_part_of_the_url(operator: Client, jobs: Jobs) -> None:
    failed = jobs["failed"]
    assert len(ids(operator.get(QUEUE, {"q": "55825"}))) == 6
    assert ids(operator.get(QUEUE, {"q": str(failed.pk)})) == {"failed"}
    assert ids(operator.get(QUEUE, {"q": f"/{failed.episode}.mp4"})) == {"failed"}


@pytest.mark.parametrize("junk", ["'\"%_\\", "9" * 40, "٣", UNKNOWN, "<b>", "-1", "\ufffd", "x" * 5000, "%"])
def test_searching_for_junk_finds_nothing_and_says_so(operator: Client, jobs: Jobs, junk: str) -> None:
    assert "No job matches" in text(operator.get(QUEUE, {"q": junk}))


@pytest.mark.parametrize(
    "query", ["q=%00", "status__exact=%00", "provider=%00", "status__exact=x", "p=999", "o=99", "x=y"]
)
def test_a_query_string_of_junk_is_no_500(operator: Client, jobs: Jobs, query: str) -> None:
    assert operator.get(f"{QUEUE}?{query}", follow=True).status_code == 200


def test_who_is_not_logged_in_is_asked_to(db: None) -> None:
    assert Client().get(QUEUE)["Location"].startswith("/admin/login/")


# --- One job ---


def test_a_job_shows_its_history(operator: Client, jobs: Jobs) -> None:
    JobEvent.objects.create(job=jobs["failed"], actor="host-7", to_status="failed", reason="The source is gone.")
    page = text(operator.get(f"{QUEUE}{jobs['failed'].pk}/change/"))
    assert "host-7" in page
    assert "The source is gone." in page


def test_a_long_history_is_cut_to_its_newest_part(operator: Client, jobs: Jobs) -> None:
    job = jobs["failed"]
    JobEvent.objects.bulk_create(JobEvent(job=job, actor=f"actor-{n}-", to_status="failed") for n in range(150))
    page = text(operator.get(f"{QUEUE}{job.pk}/change/"))
    assert ("actor-149-" in page, "actor-49-" in page) == (True, False)


def test_saving_a_job_writes_only_what_was_edited(operator: Client, jobs: Jobs) -> None:
    job = jobs["downloading"]
    page = operator.get(f"{QUEUE}{job.pk}/change/")
    VideoQueue.objects.filter(pk=job.pk).update(status="uploading", bytes_done=7)
    management = {f"events-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    assert page.status_code == 200
    data = {"video_url": job.video_url, "priority": "5", "max_attempts": "9", **management}
    answer = operator.post(f"{QUEUE}{job.pk}/change/", data)
    job.refresh_from_db()
    assert (answer.status_code, job.status, job.bytes_done, job.priority) == (302, "uploading", 7, 5)


def test_a_new_url_drops_the_mirrors_of_the_old_one(operator: Client, jobs: Jobs) -> None:
    job = jobs["pending"]
    VideoQueue.objects.filter(pk=job.pk).update(options={"mirrors": ["https://93.184.216.35/old.mp4"]})
    management = {f"events-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    data = {
        "video_url": "https://93.184.216.34/new.mp4",
        "page_url": "",
        "priority": "0",
        "max_attempts": "5",
        **management,
    }
    assert operator.post(f"{QUEUE}{job.pk}/change/", data).status_code == 302
    job.refresh_from_db()
    assert (job.video_url, job.options) == ("https://93.184.216.34/new.mp4", {})


@pytest.mark.parametrize(
    ("field", "value"),
    [("video_url", "http://127.0.0.1/"), ("video_url", "x"), ("priority", "40000"), ("max_attempts", "0"),
     ("video_url", "a\0")],
)  # fmt: skip
def test_what_the_api_refuses_the_form_refuses(operator: Client, jobs: Jobs, field: str, value: str) -> None:
    management = {f"events-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    data = {
        "video_url": "https://93.184.216.34/",
        "priority": "0",
        "max_attempts": "5",
        **management,
        field: value,
    }
    answer = operator.post(f"{QUEUE}{jobs['pending'].pk}/change/", data)
    assert field in answer.context["adminform"].form.errors


@pytest.mark.parametrize("id_", [UNKNOWN, "junk", "%00", "1"])
def test_a_job_that_does_not_exist_leads_back_with_a_message(operator: Client, id_: str) -> None:
    answer = operator.get(f"{QUEUE}{id_}/change/", follow=True)
    assert "exist. Perhaps it was deleted?" in messages(answer)[0]


# --- Adding ---


def test_adding_a_video_enqueues_it(operator: Client) -> None:
    answer = operator.post(f"{QUEUE}add/", NEW, follow=True)
    job = VideoQueue.objects.get()
    assert (job.mal_id, job.resolution, job.status) == (7301234567890123456, None, "pending")
    assert "was added successfully" in messages(answer)[0]
    assert LogEntry.objects.get().object_id == str(job.pk)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mal_id", "-1"), ("mal_id", "9" * 30), ("mal_id", "x"), ("episode", "1.5"), ("provider", "a/b"),
        ("provider", "x" * 21), ("resolution", "a:b"), ("video_url", "http://10.0.0.1/"),
        ("video_url", "ftp://x/"),
        ("provider", "a\0"), ("video_url", ""),
    ],
)  # fmt: skip
def test_adding_nonsense_names_the_field(operator: Client, field: str, value: str) -> None:
    answer = operator.post(f"{QUEUE}add/", {**NEW, field: value})
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not VideoQueue.objects.exists()


def test_adding_a_video_twice_leads_to_the_job_there_is(operator: Client) -> None:
    job = enqueue_video(VideoKey(int(NEW["mal_id"]), 3, "douyin", None), "https://example.com/v")
    answer = operator.post(f"{QUEUE}add/", NEW)
    (error,) = answer.context["adminform"].form.non_field_errors()
    assert f'<a href="{QUEUE}{job.pk}/change/">' in error


def test_adding_a_video_that_had_failed_revives_it(operator: Client) -> None:
    job = enqueue_video(VideoKey(int(NEW["mal_id"]), 3, "douyin", None), "https://example.com/v")
    VideoQueue.objects.update(status="failed")
    operator.post(f"{QUEUE}add/", NEW)
    job.refresh_from_db()
    assert (job.status, job.video_url) == ("pending", NEW["video_url"])


# --- Actions ---


def test_requeue_takes_the_failed_ones_and_counts_the_others(operator: Client, jobs: Jobs) -> None:
    answer = act(operator, "requeue", list(jobs.values()))
    assert messages(answer) == [
        "1 video requeued.", "5 videos skipped, because only failed ones can be requeued."
    ]  # fmt: skip
    jobs["failed"].refresh_from_db()
    assert jobs["failed"].status == "pending"


def test_requeue_writes_down_who_did_it(operator: Client, jobs: Jobs) -> None:
    act(operator, "requeue", [jobs["failed"]])
    assert LogEntry.objects.get().object_id == str(jobs["failed"].pk)
    event = JobEvent.objects.filter(job=jobs["failed"]).last()
    assert event is not None
    assert (event.actor, event.reason) == ("admin", "Requeued in the admin.")


def test_reset_asks_first_and_says_that_running_work_is_discarded(operator: Client, jobs: Jobs) -> None:
    page = text(act(operator, "reset", list(jobs.values())))
    assert "6 videos will go back to pending" in page
    assert "2 of them are in work right now" in page
    assert VideoQueue.objects.filter(status="pending").count() == 1


def test_a_confirmed_reset_takes_jobs_in_any_state(operator: Client, jobs: Jobs) -> None:
    answer = act(operator, "reset", list(jobs.values()), confirmed="yes")
    assert messages(answer) == ["6 videos reset to pending."]
    assert set(VideoQueue.objects.values_list("status", flat=True)) == {"pending"}
    assert LogEntry.objects.count() == 6


def test_the_confirmation_carries_the_whole_selection(operator: Client, jobs: Jobs) -> None:
    page = act(operator, "reset", list(jobs.values())).content.decode()
    assert all(f'name="_selected_action" value="{job.pk}"' in page for job in jobs.values())


@pytest.mark.parametrize("action", ["requeue", "reset", "delete_selected"])
def test_a_viewer_can_do_nothing(viewer: Client, jobs: Jobs, action: str) -> None:
    act(viewer, action, list(jobs.values()), confirmed="yes", post="yes")
    assert list(VideoQueue.objects.order_by("episode").values_list("status", flat=True)) == list(jobs)


def test_a_viewer_sees_the_list_and_a_job_but_no_form(viewer: Client, jobs: Jobs) -> None:
    assert ids(viewer.get(QUEUE)) == set(jobs)
    assert "Save" not in text(viewer.get(f"{QUEUE}{jobs['failed'].pk}/change/"))
    assert viewer.get(f"{QUEUE}add/").status_code == 403


def test_deleting_asks_first_and_takes_a_job_in_work_with_its_history(operator: Client, jobs: Jobs) -> None:
    url = f"{QUEUE}{jobs['downloading'].pk}/delete/"
    assert "Are you sure" in text(operator.get(url))
    operator.post(url, {"post": "yes"})
    assert not VideoQueue.objects.filter(status="downloading").exists()
