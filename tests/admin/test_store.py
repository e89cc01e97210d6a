"""The store's pages, workers, media jobs and the first page."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.timezone import now

from queue_app.models import MediaJob, VideoQueue, Worker
from storage_app.models import Replica, StorageAccount, VideoStore
from storage_app.naming import VideoKey
from tests.admin.conftest import text
from tests.archive import KEY, archive, make_account

STORE = "/admin/storage_app/videostore/"
ACCOUNTS = "/admin/storage_app/storageaccount/"
NEW_ACCOUNT = {"index": "3", "kind": "local", "username": "third", "root": "/srv/3", "enabled": "on"}


@pytest.fixture
def accounts(db: None, tmp_path: Path) -> list[StorageAccount]:
    return [make_account(tmp_path, index) for index in (1, 2)]


@pytest.fixture
def video(accounts: list[StorageAccount]) -> VideoStore:
    return archive(KEY, accounts)


def test_an_empty_store_says_where_to_look(operator: Client) -> None:
    assert "Nothing is archived yet" in text(operator.get(STORE))


def test_the_store_shows_size_and_copies(operator: Client, video: VideoStore) -> None:
    page = operator.get(STORE)
    assert "1.2 MB 1:02 2 of 2" in text(page)
    assert f'href="{KEY.watch_path()}"' in page.content.decode()


def test_videos_with_too_few_copies_are_found(operator: Client, video: VideoStore) -> None:
    Replica.objects.filter(account=2).delete()
    assert "1 of 2" in text(operator.get(f"{STORE}?copies=under"))
    assert "No archived video matches" in text(operator.get(f"{STORE}?copies=enough"))


def test_a_disabled_account_is_not_waited_for(operator: Client, accounts: list[StorageAccount]) -> None:
    archive(KEY, accounts[:1])
    StorageAccount.objects.filter(index=2).update(enabled=False)
    assert "1 of 1" in text(operator.get(f"{STORE}?copies=enough"))


def test_an_archived_video_plays_on_its_page(operator: Client, video: VideoStore) -> None:
    page = operator.get(f"{STORE}{video.pk}/change/").content.decode()
    assert f'src="{KEY.watch_path()}?embed=1"' in page
    assert page.count(">In use</span>") == 2
    assert "&quot;container&quot;: &quot;mp4&quot;" in page


def test_a_video_of_an_older_client_has_a_page_too(operator: Client, video: VideoStore) -> None:
    VideoStore.objects.update(stored_file=None)
    assert "0 of 2" in text(operator.get(STORE))
    assert "an older client" in text(operator.get(f"{STORE}{video.pk}/change/"))


@pytest.mark.parametrize("path", ["add/", "{}/delete/"])
def test_archived_videos_are_neither_added_nor_deleted_by_hand(operator: Client, video: VideoStore, path: str) -> None:
    assert operator.get(STORE + path.format(video.pk)).status_code == 403


@pytest.mark.parametrize(("term", "found"), [("55825", 1), ("1", 0), ("junk'", 0), ("9" * 30, 0)])
def test_the_store_is_searched_by_work(operator: Client, video: VideoStore, term: str, found: int) -> None:
    assert len(operator.get(STORE, {"q": term}).context["cl"].result_list) == found


@pytest.mark.parametrize("model", ["videostore", "storedfile", "replica", "storageaccount"])
def test_lists_take_as_many_queries_with_many_rows_as_with_one(
    operator: Client, accounts: list[StorageAccount], model: str, django_assert_max_num_queries: Any
) -> None:
    for episode in range(20):
        archive(VideoKey(1, episode, "p", None), accounts)
    with django_assert_max_num_queries(6):
        assert operator.get(f"/admin/storage_app/{model}/").status_code == 200


@pytest.mark.parametrize("model", ["storedfile", "replica"])
def test_files_and_copies_are_read_only(operator: Client, video: VideoStore, model: str) -> None:
    row = video.stored_file if model == "storedfile" else Replica.objects.first()
    assert row is not None
    page = text(operator.get(f"/admin/storage_app/{model}/{row.pk}/change/"))
    assert "Save" not in page
    assert operator.get(f"/admin/storage_app/{model}/add/").status_code == 403


# --- Accounts ---


def test_an_account_shows_what_lies_on_it(operator: Client, video: VideoStore) -> None:
    assert "1.2 MB used, room unknown 1" in text(operator.get(ACCOUNTS))


def test_a_new_account_gets_the_next_index(operator: Client, accounts: list[StorageAccount]) -> None:
    assert operator.get(f"{ACCOUNTS}add/").context["adminform"].form.initial["index"] == 3
    operator.post(f"{ACCOUNTS}add/", NEW_ACCOUNT)
    assert StorageAccount.objects.get(pk=3).root == "/srv/3"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("root", "srv/3"), ("root", ""), ("root", "/"), ("root", "/srv/../etc"), ("root", "/a\0"),
        ("username", "a/b"),
        ("username", ".."), ("username", "user1"), ("index", "1"), ("index", "-1"), ("kind", "tape"),
        ("index", "9" * 20),
    ],
)  # fmt: skip
def test_an_account_that_could_not_work_is_refused(
    operator: Client, accounts: list[StorageAccount], field: str, value: str
) -> None:
    answer = operator.post(f"{ACCOUNTS}add/", {**NEW_ACCOUNT, field: value})
    assert list(answer.context["adminform"].form.errors) == [field]


def test_an_account_is_edited_without_changing_its_index(operator: Client, video: VideoStore) -> None:
    data = {"index": "9", "username": "renamed", "root": "/srv/new/"}
    assert operator.post(f"{ACCOUNTS}1/change/", data).status_code == 302
    account = StorageAccount.objects.get(pk=1)
    assert (account.username, account.root, account.enabled) == ("renamed", "/srv/new", False)
    assert StorageAccount.objects.count() == 2


def test_an_account_with_copies_is_not_deleted_and_says_what_to_do(operator: Client, video: VideoStore) -> None:
    url = f"{ACCOUNTS}1/delete/"
    assert "1 copies on user1. Disable the account instead" in text(operator.get(url))
    operator.post(url, {"post": "yes"})
    assert StorageAccount.objects.filter(pk=1).exists()


def test_an_empty_account_can_be_deleted(operator: Client, accounts: list[StorageAccount]) -> None:
    operator.post(f"{ACCOUNTS}1/delete/", {"post": "yes"})
    assert not StorageAccount.objects.filter(pk=1).exists()


# --- The rest ---


def test_workers_show_whether_they_live_and_what_they_do(operator: Client, db: None) -> None:
    for name, seconds in (("fresh", 1), ("lost", 300)):
        Worker.objects.create(
            id=name,
            host="h",
            pid=1,
            version="1",
            capacity=2,
            last_heartbeat=now() - timedelta(seconds=seconds),
        )
    VideoQueue.objects.create(
        mal_id=1, episode=1, provider="p", video_url="https://x/", status="downloading", worker_id="fresh"
    )
    page = text(operator.get("/admin/queue_app/worker/"))
    assert "fresh h 1 1 Alive - 1 2" in page
    assert "lost h 1 1 Silent - 0 2" in page


@pytest.mark.parametrize("path", ["", "%00/change/", "nobody/change/"])
def test_pages_of_workers_that_do_not_exist_are_no_500(operator: Client, path: str) -> None:
    assert operator.get(f"/admin/queue_app/worker/{path}", follow=True).status_code == 200


def test_media_jobs_are_listed_and_shown(operator: Client, db: None) -> None:
    job = MediaJob.objects.create(kind="transcode", file_id=uuid4(), status="processing", progress=40)
    assert "HLS ladder" in text(operator.get("/admin/queue_app/mediajob/"))
    job.refresh_from_db()
    assert "40" in text(operator.get(f"/admin/queue_app/mediajob/{job.pk}/change/"))


def test_the_first_page_counts_and_leads_to_the_lists(operator: Client, video: VideoStore) -> None:
    page = operator.get("/admin/")
    assert "0 Pending 0 In work 0 Ready 0 Failed 1 Archived 0 Workers alive" in text(page)
    for counter in page.context["counters"]:
        assert operator.get(counter["url"]).status_code == 200


def test_the_first_page_of_somebody_without_rights_has_no_counters(client: Client, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("nobody", is_staff=True))
    assert client.get("/admin/").context["counters"] == []


def test_django_q_shows_its_schedules_only(operator: Client) -> None:
    page = text(operator.get("/admin/"))
    assert ("Scheduled task" in page, "Queued tasks" in page) == (True, False)


def test_the_stylesheet_is_there(operator: Client) -> None:
    assert "reelkeep/admin.css" in operator.get("/admin/").content.decode()
    assert Client().get("/static/reelkeep/admin.css").status_code == 200
