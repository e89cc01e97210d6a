"""Placement, retention, tasks, events, orphans, tombstones, and what can be done to archived videos."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils.timezone import now

from storage_app.models import (
    Orphan,
    PlacementPolicy,
    Replica,
    RetentionRule,
    Sidecar,
    StorageAccount,
    StorageEvent,
    StorageTask,
    StoredFile,
    TaskKind,
    Tombstone,
    VideoStore,
)
from storage_app.naming import VideoKey
from storage_app.upkeep.events import record
from storage_app.upkeep.tasks import ask_for
from tests.admin.conftest import messages, text
from tests.admin.test_steering import act
from tests.archive import KEY, archive, make_account

STORE = "/admin/storage_app/videostore/"
POLICIES = "/admin/storage_app/placementpolicy/"
RULES = "/admin/storage_app/retentionrule/"
TASKS = "/admin/storage_app/storagetask/"
EVENTS = "/admin/storage_app/storageevent/"
ORPHANS = "/admin/storage_app/orphan/"
TOMBSTONES = "/admin/storage_app/tombstone/"
LISTS = [STORE, POLICIES, RULES, TASKS, EVENTS, ORPHANS, TOMBSTONES]
POLICY = {"mal_id": "", "copies": "2", "minimum": "1", "spread": "on"}
RULE = {"name": "Old", "mal_id": "", "provider": "animasu", "days": "30"}


@pytest.fixture
def accounts(db: None, tmp_path: Path) -> list[StorageAccount]:
    return [make_account(tmp_path, index) for index in (1, 2)]


def errors(answer: Any) -> list[str]:
    return list(answer.context["adminform"].form.errors)


def due(kind: TaskKind) -> list[tuple[Any, ...]]:
    return list(StorageTask.objects.filter(kind=kind).order_by("account").values_list("account", "actor", "reason"))


# --- Placement policies ---


def test_a_policy_is_added_for_all_works_and_written_down(operator: Client, accounts: list[StorageAccount]) -> None:
    assert operator.post(f"{POLICIES}add/", {**POLICY, "accounts": ["1", "2"]}).status_code == 302
    policy = PlacementPolicy.objects.get()
    assert (policy.mal_id, policy.copies, policy.minimum, policy.accounts.count()) == (None, 2, 1, 2)
    assert "All works 2 1" in text(operator.get(POLICIES))
    assert StorageEvent.objects.get().text == (
        "Placement for all works: 2 copies among accounts 1, 2, at least 1 to be ready, over different kinds first."
    )


def test_a_work_has_its_own_policy_beside_the_one_for_all(operator: Client, accounts: list[StorageAccount]) -> None:
    for work in ("", "55825", "9223372036854775807"):
        operator.post(f"{POLICIES}add/", {**POLICY, "mal_id": work})
    assert list(PlacementPolicy.objects.order_by("mal_id").values_list("mal_id", flat=True)) == [55825, 2**63 - 1, None]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mal_id": ""}, "mal_id"),
        ({"mal_id": "7"}, "mal_id"),
        ({"mal_id": "-1"}, "mal_id"),
        ({"mal_id": "9" * 25}, "mal_id"),
        ({"mal_id": "8", "copies": "0"}, "copies"),
        ({"mal_id": "8", "copies": "2", "minimum": "3"}, "minimum"),
        ({"mal_id": "8", "minimum": ""}, "minimum"),
        ({"mal_id": "8", "minimum": "0"}, "minimum"),
        ({"mal_id": "8", "accounts": ["1"]}, "accounts"),
        ({"mal_id": "8", "accounts": ["77"]}, "accounts"),
    ],
)
def test_a_policy_that_could_not_be_kept_is_refused(
    operator: Client, accounts: list[StorageAccount], changes: dict[str, Any], field: str
) -> None:
    PlacementPolicy.objects.create(copies=1)
    PlacementPolicy.objects.create(mal_id=7)
    assert errors(operator.post(f"{POLICIES}add/", {**POLICY, **changes})) == [field]


def test_a_policy_can_be_saved_as_it_is(operator: Client, accounts: list[StorageAccount]) -> None:
    policy = PlacementPolicy.objects.create(copies=2)
    assert operator.post(f"{POLICIES}{policy.pk}/change/", {**POLICY, "minimum": "2"}).status_code == 302
    policy.refresh_from_db()
    assert policy.minimum == 2


def test_a_policy_that_asks_for_more_than_is_in_use_warns(operator: Client, accounts: list[StorageAccount]) -> None:
    answer = operator.post(f"{POLICIES}add/", {**POLICY, "copies": "3"}, follow=True)
    assert "2 of its accounts are in use now, and 3 copies are asked for." in messages(answer)


# --- Retention rules ---


def test_a_rule_is_added_and_is_off(operator: Client) -> None:
    operator.post(f"{RULES}add/", RULE)
    rule = RetentionRule.objects.get()
    assert (rule.days, rule.enabled) == (30, False)
    assert "Old all animasu 30 Off What would it delete?" in text(operator.get(RULES))


@pytest.mark.parametrize(
    "changes", [{"days": "0"}, {"days": ""}, {"name": ""}, {"mal_id": "x"}, {"provider": "x" * 21}]
)
def test_a_rule_that_means_nothing_is_refused(operator: Client, changes: dict[str, str]) -> None:
    assert errors(operator.post(f"{RULES}add/", {**RULE, **changes})) == list(changes)


def test_a_rules_dry_run_lists_what_it_would_delete(operator: Client, accounts: list[StorageAccount]) -> None:
    archive(KEY, accounts)
    archive(VideoKey(1, 2, "other", None), accounts)
    rule = RetentionRule.objects.create(name="Old", provider="animasu", days=30)
    url = f"{RULES}{rule.pk}/dry-run/"
    assert "Nothing: no video of any work by animasu is older than 30 days." in text(operator.get(url))
    VideoStore.objects.update(created_at=now() - timedelta(days=31))
    page = text(operator.get(url))
    assert "1 video, oldest first. Nothing is deleted by looking. The rule is off." in page
    assert "55825 · episode 1 · animasu · 720p" in page
    assert "other" not in page
    assert VideoStore.objects.count() == 2


def test_a_dry_run_is_for_those_who_may_see_rules(operator: Client, client: Client) -> None:
    rule = RetentionRule.objects.create(name="Old", days=30)
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(f"{RULES}{rule.pk}/dry-run/").status_code == 403
    assert operator.get(f"{RULES}9999/dry-run/").status_code == 404


# --- Tasks ---


def test_tasks_say_how_far_they_are_and_why_they_wait(operator: Client, accounts: list[StorageAccount]) -> None:
    measure = ask_for(TaskKind.MEASURE, account=accounts[0], reason="Hourly.")
    StorageTask.objects.filter(pk=measure.pk).update(
        lease_token=uuid4(), lease_expires_at=now() + timedelta(minutes=1), bytes_done=2**20, bytes_total=2**22
    )
    removal = ask_for(TaskKind.REMOVE, account=accounts[1], repo="r", path="1/ep1/x.mp4", actor="admin")
    StorageTask.objects.filter(pk=removal.pk).update(
        attempts=3, error_message="The account is away.", not_before=now() + timedelta(minutes=90)
    )
    page = text(operator.get(TASKS))
    assert "Measure account 1 In work 1.0 MB of 4.0 MB 0 Hourly." in page
    assert "Remove 1/ep1/x.mp4 · account 2 Waits for 1" in page
    assert "3 - The account is away. just now by admin" in page


def test_a_task_whose_worker_is_gone_shows_so(operator: Client, accounts: list[StorageAccount]) -> None:
    ask_for(TaskKind.MEASURE, account=accounts[0])
    StorageTask.objects.update(lease_token=uuid4(), lease_expires_at=now() - timedelta(minutes=1))
    assert "Measure account 1 Lost 0" in text(operator.get(TASKS))


def test_waiting_tasks_are_told_to_be_done_now(operator: Client, accounts: list[StorageAccount]) -> None:
    waiting, busy = (ask_for(TaskKind.MEASURE, account=account) for account in accounts)
    later = now() + timedelta(hours=1)
    StorageTask.objects.update(not_before=later)
    StorageTask.objects.filter(pk=busy.pk).update(lease_token=uuid4())
    answer = act(operator, TASKS, "do_now", StorageTask.objects.all())
    assert messages(answer) == ["1 task due now.", "1 task left alone, being in work already."]
    assert StorageTask.objects.get(pk=waiting.pk).not_before <= now()
    assert StorageTask.objects.get(pk=busy.pk).not_before == later
    assert LogEntry.objects.count() == 1


# --- Events, orphans, tombstones ---


def test_events_are_filtered_by_kind_and_account(operator: Client, accounts: list[StorageAccount]) -> None:
    record("bad_copy", "Bad <i>copy</i>.", account=1)
    record("copied", "Copied.", account=2)
    for query, found in (
        ({"kind": "bad_copy"}, 1),
        ({"account": "2"}, 1),
        ({"kind": "none"}, 0),
        ({"account": "x"}, 2),
    ):
        assert len(operator.get(EVENTS, query).context["cl"].result_list) == found
    assert "Bad &lt;i&gt;copy&lt;/i&gt;." in operator.get(EVENTS).content.decode()


def test_an_event_is_found_by_its_file(operator: Client, accounts: list[StorageAccount]) -> None:
    file = archive(KEY, accounts).stored_file
    assert file is not None
    record("copied", "Copied.", account=1, file=file)
    record("copied", "Copied.", account=1)
    for term in (file.path, file.sha256):
        assert len(operator.get(EVENTS, {"q": term}).context["cl"].result_list) == 1


def make_orphans(account: StorageAccount, number: int = 3) -> list[Orphan]:
    return [Orphan.objects.create(account=account, repo="r", path=f"{n}.mp4", size=1000) for n in range(number)]


def test_removing_orphans_asks_first(operator: Client, accounts: list[StorageAccount]) -> None:
    answer = act(operator, ORPHANS, "confirm_removal", make_orphans(accounts[0]))
    assert "3 objects, 2.9 KB together, will be deleted from their accounts" in text(answer)
    assert not Orphan.objects.exclude(confirmed_at=None).exists()


def test_confirmed_orphans_say_by_whom(operator: Client, accounts: list[StorageAccount]) -> None:
    first, second, third = make_orphans(accounts[0])
    Orphan.objects.update(found_at=now() - timedelta(days=30))
    act(operator, ORPHANS, "confirm_removal", [first], confirmed="yes")
    answer = act(operator, ORPHANS, "confirm_removal", [first, second], confirmed="yes")
    assert messages(answer) == [
        "1 orphan confirmed: removed once looked at again.",
        "1 orphan skipped: confirmed or gone already, not seen for long enough yet, or needed by manage.py "
        "rebuild_store, which comes first.",
    ]  # fmt: skip
    assert set(Orphan.objects.exclude(confirmed_at=None).values_list("pk", "confirmed_by")) == {
        (first.pk, "admin"), (second.pk, "admin"),
    }  # fmt: skip
    assert LogEntry.objects.filter(change_message="Removal confirmed.").count() == 2
    assert "Confirmed by admin" in text(operator.get(ORPHANS))
    assert [row.pk for row in operator.get(ORPHANS, {"removal": "open"}).context["cl"].result_list] == [third.pk]


def test_tombstones_tell_who_deleted_what_and_why(operator: Client) -> None:
    Tombstone.objects.create(
        mal_id=55825, episode=3, provider="animasu", file_key="k", size=2**20, actor="admin", reason="Wrong film."
    )
    assert "55825 3 animasu - - 1.0 MB just now admin Wrong film." in text(operator.get(TOMBSTONES))
    assert len(operator.get(TOMBSTONES, {"q": "55825"}).context["cl"].result_list) == 1


@pytest.mark.parametrize("url", [TASKS, EVENTS, ORPHANS, TOMBSTONES])
def test_what_the_programme_writes_is_not_added_by_hand(operator: Client, url: str) -> None:
    assert operator.get(f"{url}add/").status_code == 403


@pytest.mark.parametrize("url", LISTS)
def test_an_empty_list_is_a_page(operator: Client, url: str) -> None:
    assert operator.get(url).status_code == 200


@pytest.mark.parametrize("url", LISTS)
def test_a_list_takes_as_many_queries_with_many_rows_as_with_one(
    operator: Client, accounts: list[StorageAccount], url: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        video = archive(VideoKey(1, number, "p", None), accounts)
        PlacementPolicy.objects.create(mal_id=number, minimum=1).accounts.set(accounts)
        RetentionRule.objects.create(name=str(number), days=1)
        ask_for(TaskKind.VERIFY, stored_file=video.stored_file, account=accounts[0])
        record("copied", "Copied.", account=1)
        Tombstone.objects.create(mal_id=1, episode=number, provider="p", file_key="k", size=1)
    make_orphans(accounts[0], 20)
    with django_assert_max_num_queries(9):
        assert operator.get(url).status_code == 200


@pytest.mark.parametrize("url", LISTS)
def test_pages_of_single_rows_open(operator: Client, accounts: list[StorageAccount], url: str) -> None:
    video = archive(KEY, accounts)
    rows = {
        STORE: video,
        POLICIES: PlacementPolicy.objects.create(),
        RULES: RetentionRule.objects.create(name="x", days=1),
        TASKS: ask_for(TaskKind.VERIFY, stored_file=video.stored_file, account=accounts[0]),
        ORPHANS: make_orphans(accounts[0])[0],
        TOMBSTONES: Tombstone.objects.create(mal_id=1, episode=1, provider="p", file_key="k", size=1),
    }
    record("copied", "Copied.", account=1)
    row = rows.get(url) or StorageEvent.objects.get()
    assert operator.get(f"{url}{row.pk}/change/").status_code == 200


# --- The first page ---


def test_the_first_page_groups_the_store_sensibly(operator: Client) -> None:
    groups = {app["name"]: [model["object_name"] for model in app["models"]] for app in _apps(operator)}
    assert list(groups)[:4] == ["Queue", "Archive", "Storage", "Upkeep"]
    assert groups["Storage"] == ["StorageAccount", "PlacementPolicy", "RetentionRule"]
    assert groups["Upkeep"] == ["StorageTask", "StorageEvent", "Orphan"]
    assert "Storage, further" not in groups


def test_the_first_page_shows_only_groups_that_one_may_see(client: Client, db: None) -> None:
    user = User.objects.create_user("some", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_orphan"))
    client.force_login(user)
    assert [app["name"] for app in _apps(client)] == ["Upkeep"]
    assert client.get("/admin/storage_app/").status_code == 200


def _apps(client: Client) -> Any:
    return client.get("/admin/").context["app_list"]


# --- Archived videos ---


def test_a_videos_page_tells_of_each_copy(operator: Client, accounts: list[StorageAccount]) -> None:
    video = archive(KEY, accounts)
    Replica.objects.filter(account=1).update(
        etag="abc-14", verified_at=now() - timedelta(days=3), scrubbed_at=now() - timedelta(days=9)
    )
    StorageAccount.objects.filter(pk=2).update(enabled=False, draining=True)
    page = text(operator.get(f"{STORE}{video.pk}/change/"))
    assert "1 · user1 In use abc-14 3" in page
    assert "2 · user2 Draining - just now -" in page


def with_subtitles(video: VideoStore, account: StorageAccount) -> StoredFile:
    file = StoredFile.objects.create(repo="weaboo-55825", path="x.vtt", sha256="a" * 64, size=5, duration=0)
    Sidecar.objects.create(video=video, stored_file=file, kind="subtitles")
    Replica.objects.create(stored_file=file, account=account)
    return file


def test_verifying_asks_for_every_copy_of_a_video_and_of_its_sidecars(
    operator: Client, accounts: list[StorageAccount]
) -> None:
    video = archive(KEY, accounts)
    with_subtitles(video, accounts[0])
    archive(VideoKey(1, 2, "p", None), accounts)
    answer = act(operator, STORE, "verify", [video])
    assert messages(answer) == ["3 copies of 1 video will be read back."]
    assert due(TaskKind.VERIFY) == [(n, "admin", "Asked for in the admin.") for n in (1, 1, 2)]
    assert LogEntry.objects.get().change_message == "Verification asked for in the admin."


def test_replicating_asks_once_for_each_file(operator: Client, accounts: list[StorageAccount]) -> None:
    video = archive(KEY, accounts[:1])
    with_subtitles(video, accounts[0])
    for _ in range(2):
        answer = act(operator, STORE, "replicate", [video])
    assert messages(answer) == ["2 files of 1 video will be compared with its placement."]
    assert due(TaskKind.REPLICATE) == [(None, "admin", "Asked for in the admin.")] * 2


def test_a_video_of_an_older_client_has_nothing_to_verify(operator: Client, accounts: list[StorageAccount]) -> None:
    video = archive(KEY, accounts)
    VideoStore.objects.update(stored_file=None)
    assert "nothing to do" in messages(act(operator, STORE, "verify", [video]))[0]


def test_deleting_videos_asks_first_and_says_what_goes(operator: Client, accounts: list[StorageAccount]) -> None:
    video = archive(KEY, accounts)
    twin = archive(VideoKey(1, 2, "p", None), accounts[:1], content=b"x" * 1000)
    other = archive(VideoKey(1, 3, "p", None), accounts, content=b"y" * 1000)
    VideoStore.objects.filter(pk=other.pk).update(stored_file=twin.stored_file)
    page = text(act(operator, STORE, "delete_videos", [video, twin]))
    assert "2 videos will be deleted: 2 copies on all accounts, 2.4 MB together" in page
    assert "1 stored file stays: other videos lead to the same content." in page
    assert VideoStore.objects.count() == 3


@pytest.mark.parametrize("confirmed", [{}, {"confirmed": "yes", "reason": "All."}])
def test_more_videos_than_one_request_can_bear_are_not_deleted(
    operator: Client, accounts: list[StorageAccount], monkeypatch: pytest.MonkeyPatch, confirmed: dict[str, str]
) -> None:
    monkeypatch.setattr("storage_app.admin.video_actions.AT_ONCE", 1)
    videos = [archive(KEY, accounts), archive(VideoKey(1, 2, "p", None), accounts, content=b"x" * 10)]
    [told] = messages(act(operator, STORE, "delete_videos", videos, **confirmed))
    assert told.startswith("Choose up to 1 videos at a time.")
    assert "manage.py delete_video" in told
    assert VideoStore.objects.count() == 2


def test_deleted_videos_leave_a_tombstone_and_a_log_entry(operator: Client, accounts: list[StorageAccount]) -> None:
    video, kept = archive(KEY, accounts), archive(VideoKey(1, 2, "p", None), accounts, content=b"x" * 10)
    answer = act(operator, STORE, "delete_videos", [video], confirmed="yes", reason="Wrong film.")
    assert messages(answer) == ["1 video deleted; the copies are being removed."]
    assert list(VideoStore.objects.all()) == [kept]
    tombstone = Tombstone.objects.get()
    assert (tombstone.mal_id, tombstone.actor, tombstone.reason) == (55825, "admin", "Wrong film.")
    entry = LogEntry.objects.get(action_flag=DELETION)
    assert (entry.object_repr, entry.change_message) == (str(video), "Wrong film.")


@pytest.mark.parametrize("reason", ["", "x" * 501, "a\0b"])
def test_a_reason_that_cannot_be_kept_is_asked_for_again(
    operator: Client, accounts: list[StorageAccount], reason: str
) -> None:
    answer = act(operator, STORE, "delete_videos", [archive(KEY, accounts)], confirmed="yes", reason=reason)
    assert "reason" in answer.context["form"].errors
    assert VideoStore.objects.exists()


@pytest.mark.parametrize("action", ["verify", "replicate", "delete_videos"])
def test_who_may_only_look_does_nothing_to_videos(viewer: Client, accounts: list[StorageAccount], action: str) -> None:
    act(viewer, STORE, action, [archive(KEY, accounts)], confirmed="yes", reason="x")
    assert (VideoStore.objects.count(), StorageTask.objects.count(), LogEntry.objects.count()) == (1, 0, 0)


def test_who_may_change_videos_may_not_delete_them(accounts: list[StorageAccount], client: Client) -> None:
    user = User.objects.create_user("keeper", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_videostore", "change_videostore"]))
    client.force_login(user)
    video = archive(KEY, accounts)
    act(client, STORE, "delete_videos", [video], confirmed="yes", reason="x")
    assert VideoStore.objects.exists()
    act(client, STORE, "verify", [video])
    assert len(due(TaskKind.VERIFY)) == 2


@pytest.mark.parametrize(("url", "action"), [(TASKS, "do_now"), (ORPHANS, "confirm_removal")])
def test_who_may_only_look_steers_no_upkeep(
    viewer: Client, accounts: list[StorageAccount], url: str, action: str
) -> None:
    row: Any = make_orphans(accounts[0], 1)[0] if url == ORPHANS else ask_for(TaskKind.MEASURE, account=accounts[0])
    StorageTask.objects.update(not_before=now() + timedelta(hours=1))
    act(viewer, url, action, [row], confirmed="yes")
    assert not StorageTask.objects.filter(not_before__lte=now()).exists()
    assert not Orphan.objects.exclude(confirmed_at=None).exists()
