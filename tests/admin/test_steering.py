"""Cancelling and priorities; hosts, workers and accounts that rest."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils.timezone import now

from queue_app import queue
from queue_app.failures import StorageFull
from queue_app.models import JobEvent, SourceHost, VideoQueue, Worker
from queue_app.states import Lane
from storage_app.models import StorageAccount
from tests.admin.conftest import QUEUE, make_job, messages, text
from tests.archive import make_account

Jobs = dict[str, VideoQueue]

HOSTS = "/admin/queue_app/sourcehost/"
WORKERS = "/admin/queue_app/worker/"
ACCOUNTS = "/admin/storage_app/storageaccount/"
LEASE = timedelta(seconds=30)


def act(client: Client, url: str, action: str, rows: Any, **more: str) -> Any:
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    return client.post(url, data, follow=True)


def statuses() -> list[str]:
    return list(VideoQueue.objects.order_by("episode").values_list("status", flat=True))


def make_worker(name: str = "w1", **changes: Any) -> Worker:
    return Worker.objects.create(id=name, host="h", pid=1, version="1", capacity=2, **changes)


# --- Cancel ---


def test_cancel_asks_first_and_says_what_is_lost(operator: Client, jobs: Jobs) -> None:
    page = text(act(operator, QUEUE, "cancel", jobs.values()))
    assert "3 videos will be cancelled" in page
    assert "2 of them are in work right now" in page
    assert "3 of the selected have ended already" in page
    assert statuses() == list(jobs)


def test_a_confirmed_cancel_takes_what_has_not_ended_and_writes_down_why(operator: Client, jobs: Jobs) -> None:
    answer = act(operator, QUEUE, "cancel", jobs.values(), confirmed="yes", reason="Wrong film.")
    assert messages(answer) == ["3 videos cancelled.", "3 videos skipped, having ended already."]
    assert statuses() == ["cancelled", "cancelled", "cancelled", "ready", "failed", "cancelled"]
    assert LogEntry.objects.filter(change_message="Cancelled: Wrong film.").count() == 3
    event = JobEvent.objects.latest("id")
    assert (event.actor, event.reason) == ("admin", "Wrong film.")


@pytest.mark.parametrize("reason", ["", " ", "x" * 501, "a\0b"])
def test_a_reason_that_cannot_be_kept_is_asked_for_again(operator: Client, jobs: Jobs, reason: str) -> None:
    answer = act(operator, QUEUE, "cancel", jobs.values(), confirmed="yes", reason=reason)
    assert "reason" in answer.context["form"].errors
    assert statuses() == list(jobs)


# --- Priority ---


def test_a_priority_is_asked_for_and_set(operator: Client, jobs: Jobs) -> None:
    assert "Which priority shall 6 videos have?" in text(act(operator, QUEUE, "prioritise", jobs.values()))
    answer = act(operator, QUEUE, "prioritise", jobs.values(), confirmed="yes", priority="-5")
    assert messages(answer) == ["6 videos given priority -5."]
    assert set(VideoQueue.objects.values_list("priority", flat=True)) == {-5}
    assert (statuses(), LogEntry.objects.count()) == (list(jobs), 6)
    assert "priority -5" in text(operator.get(QUEUE))


@pytest.mark.parametrize("priority", ["", "x", "40000", "1.5"])
def test_a_priority_that_is_none_is_asked_for_again(operator: Client, jobs: Jobs, priority: str) -> None:
    answer = act(operator, QUEUE, "prioritise", jobs.values(), confirmed="yes", priority=priority)
    assert "priority" in answer.context["form"].errors


@pytest.mark.parametrize("action", ["cancel", "prioritise"])
def test_who_may_only_look_steers_nothing(viewer: Client, jobs: Jobs, action: str) -> None:
    act(viewer, QUEUE, action, jobs.values(), confirmed="yes", reason="x", priority="5")
    assert (statuses(), VideoQueue.objects.filter(priority=5).count()) == (list(jobs), 0)


def test_an_action_takes_as_many_queries_for_many_as_for_few(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    rows = [make_job(episode=episode) for episode in range(40)]
    data = {"action": "cancel", "_selected_action": [str(row.pk) for row in rows], "confirmed": "yes", "reason": "x"}
    with django_assert_max_num_queries(14):
        operator.post(QUEUE, data)
    assert set(statuses()) == {"cancelled"}


# --- History ---


def test_a_job_shows_what_its_attempts_moved_and_how_fast(operator: Client) -> None:
    job = make_job("failed")
    JobEvent.objects.create(job=job, actor="w1", to_status="failed", bytes_done=50 * 2**20, seconds=100, reason="Cut.")
    page = text(operator.get(f"{QUEUE}{job.pk}/change/"))
    assert "50.0 MB 1:40 512.0 KB/s" in page


# --- Source hosts ---


def test_the_queue_is_filtered_by_hosts_that_give_trouble(operator: Client, jobs: Jobs) -> None:
    SourceHost.objects.create(host="example.com", failures=3)
    page = operator.get(QUEUE, {"host": "example.com"})
    assert {job.status for job in page.context["cl"].result_list} == set(jobs) - {"ready"}
    assert "By unfinished, by host" in text(page)
    assert not operator.get(QUEUE, {"host": "other.test"}).context["cl"].result_list


def test_hosts_are_listed_with_their_state(operator: Client) -> None:
    SourceHost.objects.create(host="a.test", failures=7, paused_until=now() + timedelta(minutes=20))
    SourceHost.objects.create(host="b.test", failures=5)
    SourceHost.objects.create(host="c.test", max_concurrent=2)
    page = text(operator.get(HOSTS))
    assert "a.test Rests 7 for 1" in page
    assert "b.test One at a time 5" in page
    assert "c.test Open 0 - 2" in page


def test_hosts_are_sent_to_rest_and_woken(operator: Client) -> None:
    hosts = [SourceHost.objects.create(host=f"{name}.test") for name in "ab"]
    assert messages(act(operator, HOSTS, "rest", hosts)) == ["2 hosts are resting for an hour; what runs goes on."]
    make_job()
    VideoQueue.objects.update(source_host="a.test")
    assert not queue.claim_videos(Lane.DOWNLOAD, "w1", capacity=1, limit=1, lease=LEASE)
    assert messages(act(operator, HOSTS, "wake", hosts[:1])) == ["1 host is tried again from now on."]
    assert queue.claim_videos(Lane.DOWNLOAD, "w1", capacity=1, limit=1, lease=LEASE)
    assert LogEntry.objects.count() == 3


def test_a_limit_is_changed_without_touching_what_the_queue_counts(operator: Client) -> None:
    host = SourceHost.objects.create(host="a.test:81")
    url = f"{HOSTS}a.test_3A81/change/"
    assert operator.get(url).status_code == 200
    SourceHost.objects.update(failures=4)
    operator.post(url, {"max_concurrent": "3"})
    host.refresh_from_db()
    assert (host.failures, host.max_concurrent) == (4, 3)


@pytest.mark.parametrize(("host", "kept"), [("Example.ORG:8080", "example.org:8080"), (" a.test ", "a.test")])
def test_a_host_is_added_in_the_spelling_of_the_queue(operator: Client, host: str, kept: str) -> None:
    operator.post(f"{HOSTS}add/", {"host": host, "max_concurrent": "1"})
    assert SourceHost.objects.get().host == kept


@pytest.mark.parametrize("host", ["", "https://a.test", "a.test/x", "u@a.test", "a b", "a\0"])
def test_what_is_no_host_is_refused(operator: Client, host: str) -> None:
    answer = operator.post(f"{HOSTS}add/", {"host": host})
    assert list(answer.context["adminform"].form.errors) == ["host"]


def test_who_may_only_look_changes_no_host(viewer: Client) -> None:
    host = SourceHost.objects.create(host="a.test")
    act(viewer, HOSTS, "rest", [host])
    host.refresh_from_db()
    assert host.paused_until is None


# --- Workers ---


def test_workers_are_drained_and_take_jobs_again(operator: Client) -> None:
    worker = make_worker(paused_until=now() + timedelta(minutes=5), pause_reason="The disk is full.")
    assert "Paused for 4 minutes : The disk is full." in text(operator.get(WORKERS))
    assert messages(act(operator, WORKERS, "drain", [worker])) == ["1 worker takes no more downloads."]
    assert "Draining until told otherwise" in text(operator.get(WORKERS))
    assert messages(act(operator, WORKERS, "take_jobs", [worker])) == ["1 worker takes jobs again."]
    worker.refresh_from_db()
    assert (worker.draining, worker.paused_until) == (False, None)
    assert LogEntry.objects.count() == 2


def test_who_may_only_look_drains_nobody(viewer: Client) -> None:
    act(viewer, WORKERS, "drain", [make_worker()])
    assert not Worker.objects.get().draining


# --- Accounts ---


def test_a_paused_account_says_why_and_resumes_with_the_uploads_that_wait_for_it(
    operator: Client, tmp_path: Path
) -> None:
    make_account(tmp_path)
    job = upload_that_waits_for(account=1)
    assert "for less than a minute : No room." in text(operator.get(ACCOUNTS))
    answer = act(operator, ACCOUNTS, "resume", StorageAccount.objects.all())
    job.refresh_from_db()
    assert (messages(answer), job.not_before) == (["1 account resumed."], None)
    assert StorageAccount.objects.get().pause_count == 0
    assert LogEntry.objects.count() == 1


def upload_that_waits_for(account: int) -> VideoQueue:
    job = make_job()
    (lease,) = queue.claim_videos(Lane.DOWNLOAD, "w1", capacity=1, limit=1, lease=LEASE)
    queue.finish_download(lease, {"attempt": str(uuid.uuid4()), "size": 1})
    (lease,) = queue.claim_videos(Lane.UPLOAD, "w1", capacity=1, limit=1, lease=LEASE)
    queue.fail_video(lease, StorageFull("No room."), account=account)
    job.refresh_from_db()
    assert job.not_before is not None
    return job


def test_an_upload_that_waits_for_another_reason_goes_on_waiting(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path)
    later = now() + timedelta(minutes=7)
    StorageAccount.objects.update(paused_until=now() + timedelta(minutes=5))
    job = make_job("uploading", not_before=later)
    act(operator, ACCOUNTS, "resume", [account])
    job.refresh_from_db()
    assert job.not_before == later


def test_an_account_that_is_not_paused_is_skipped(operator: Client, tmp_path: Path) -> None:
    answer = act(operator, ACCOUNTS, "resume", [make_account(tmp_path)])
    assert messages(answer) == ["1 account skipped, not being paused."]


def test_who_may_only_look_resumes_nothing(viewer: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path)
    StorageAccount.objects.update(paused_until=now() + timedelta(minutes=5))
    act(viewer, ACCOUNTS, "resume", [account])
    assert StorageAccount.objects.get().paused_until is not None


@pytest.mark.parametrize("url", [HOSTS, WORKERS, ACCOUNTS])
def test_a_list_takes_as_many_queries_with_many_rows_as_with_one(
    operator: Client, tmp_path: Path, url: str, django_assert_max_num_queries: Any
) -> None:
    for n in range(1, 20):
        SourceHost.objects.create(host=f"{n}.test", failures=n)
        make_worker(f"w{n}", paused_until=now() + timedelta(hours=1), pause_reason="x")
        make_account(tmp_path, n)
    with django_assert_max_num_queries(6):
        operator.get(url)
