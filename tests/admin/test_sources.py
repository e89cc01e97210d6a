"""Works and sources in the admin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils.timezone import now

from queue_app.admin.work import CACHE_KEY, INLINE_MAX
from queue_app.models import ResolvedSource, VideoQueue, Work, WorkSource
from queue_app.sources.wanted import Wanted
from storage_app.deletion import delete_videos
from storage_app.models import VideoStore
from storage_app.naming import VideoKey
from tests.admin.conftest import messages, text
from tests.archive import archive, make_account
from tests.servers.origin import Origin
from tests.sources import EPISODE, PLAYLIST, WORK, register

WORKS, SOURCES = "/admin/queue_app/work/", "/admin/queue_app/worksource/"
URL = "https://93.184.216.34/watch/1"
KEY = VideoKey(WORK, EPISODE, "animasu", "720p")
NO_TABLE = {
    "sources-TOTAL_FORMS": "0", "sources-INITIAL_FORMS": "0", "sources-MIN_NUM_FORMS": "0",
    "sources-MAX_NUM_FORMS": "1000",
}  # fmt: skip


def act(client: Client, action: str, path: str = SOURCES, ids: Any = None) -> Any:
    chosen = WorkSource.objects.values_list("pk", flat=True) if ids is None else ids
    return client.post(path, {"action": action, "_selected_action": [str(pk) for pk in chosen]}, follow=True)


def add(client: Client, paste: str = "", **fields: str) -> Any:
    data = {"mal_id": str(WORK), "title": "A title", "paste": paste, **NO_TABLE, **fields}
    return client.post(f"{WORKS}add/", data, follow=True)


def in_table(place: int, **fields: str) -> dict[str, str]:
    row = {"episode": "1", "provider": "animasu", "url": URL, "position": "0", "enabled": "on", **fields}
    return {f"sources-{place}-{name}": value for name, value in row.items()}


# --- Registering ---


def test_a_work_is_added_with_pasted_sources(operator: Client) -> None:
    answer = add(operator, f"1 | animasu | 720p | {URL} | Vidhidepro 720p\n\n2|animasu||{URL}\n")
    assert "2 sources added, 0 changed." in messages(answer)
    found = WorkSource.objects.values_list("work_id", "episode", "provider", "resolution", "url", "label")
    assert list(found) == [
        (WORK, 1, "animasu", "720p", URL, "Vidhidepro 720p"), (WORK, 2, "animasu", None, URL, "animasu"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1 animasu", "Line 2: write at least"),
        ("x | animasu | 720p | https://93.184.216.34/", "Line 2: episode: Must be an integer."),
        ("1 | animasu | 720p | http://10.0.0.1/", "Line 2: url: Address 10.0.0.1"),
        ("1 | a/b | 720p | https://93.184.216.34/", "Line 2: provider:"),
        (f"1 | animasu | 720p | {URL}\n1 | animasu | 720p | {URL}", "Line 3: url: This URL stands here twice"),
    ],
)
def test_pasted_faults_are_told_by_their_lines_and_nothing_is_written(operator: Client, line: str, fault: str) -> None:
    assert fault in text(add(operator, f"\n{line}"))
    assert not Work.objects.exists()


def test_sources_are_added_in_the_table(operator: Client) -> None:
    table = {"sources-TOTAL_FORMS": "2", **in_table(0), **in_table(1, resolution="720p", label="Mine")}
    add(operator, **table)
    assert list(WorkSource.objects.values_list("resolution", "label")) == [(None, "animasu"), ("720p", "Mine")]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"url": "http://127.0.0.1/"}, "not public"),
        ({"provider": "a/b"}, "Must not hold /"),
        ({"resolution": "a:b"}, "Must be letters"),
        ({"episode": "-1"}, "greater than or equal to 0"),
        ({"resolver": "nobody"}, "not one of the available choices"),
    ],
)
def test_the_table_refuses_what_the_api_refuses(operator: Client, row: dict[str, str], fault: str) -> None:
    assert fault in text(add(operator, **{"sources-TOTAL_FORMS": "1", **in_table(0, **row)}))
    assert not Work.objects.exists()


@pytest.mark.parametrize("resolution", ["720p", ""])
def test_two_equal_rows_of_the_table_are_refused(operator: Client, resolution: str) -> None:
    rows = {**in_table(0, resolution=resolution), **in_table(1, resolution=resolution, label="Mine")}
    assert "This URL stands here twice" in text(add(operator, **{"sources-TOTAL_FORMS": "2", **rows}))
    assert not Work.objects.exists()


def test_rows_changed_to_be_equal_are_refused_and_a_deleted_one_is_none(operator: Client) -> None:
    register({"url": URL}, {"url": URL, "episode": 4})
    first, second = WorkSource.objects.order_by("episode")
    table = {**NO_TABLE, "sources-TOTAL_FORMS": "2", "sources-INITIAL_FORMS": "2"}
    for place, source in enumerate((first, second)):
        table |= {f"sources-{place}-id": str(source.pk), f"sources-{place}-work": str(WORK)}
        table |= in_table(place, episode="9")
    page = f"{WORKS}{WORK}/change/"
    assert "stands here twice" in text(operator.post(page, {"title": "A title", "paste": "", **table}, follow=True))
    table["sources-0-DELETE"] = "on"
    operator.post(page, {"title": "A title", "paste": "", **table}, follow=True)
    assert list(WorkSource.objects.values_list("pk", "episode")) == [(second.pk, 9)]


def test_a_line_changes_of_a_known_source_only_what_it_says(operator: Client) -> None:
    register({"url": URL, "label": "Mine", "resolver": "direct", "enabled": False}, {"url": URL, "episode": 4})
    line = f"{EPISODE} | animasu | 720p | {URL}"
    kept = WorkSource.objects.order_by("episode").values("label", "resolver", "enabled", "position")
    before = list(kept)

    def paste(line: str) -> list[str]:
        data = {"title": "A title", "paste": line}
        return messages(operator.post(f"{WORKS}{WORK}/change/", {**data, **table_of_all()}, follow=True))

    assert "0 sources added, 0 changed." in paste(line)
    assert "0 sources added, 0 changed." in paste(f"{line} |")
    assert list(kept.all()) == before
    assert "0 sources added, 1 changed." in paste(f"{line} | New")
    assert list(kept.all()) == [{**before[0], "label": "New"}, before[1]]


def table_of_all() -> dict[str, str]:
    """The table as the page sends it when nothing is changed in it."""
    sources = list(WorkSource.objects.order_by("episode", "position", "id"))
    table = {**NO_TABLE, "sources-TOTAL_FORMS": str(len(sources)), "sources-INITIAL_FORMS": str(len(sources))}
    for place, one in enumerate(sources):
        row = {
            "id": one.pk, "work": one.work_id, "episode": one.episode, "provider": one.provider, "url": one.url,
            "resolution": one.resolution or "", "label": one.label, "resolver": one.resolver, "position": one.position,
        } | ({"enabled": "on"} if one.enabled else {})  # fmt: skip
        table |= {f"sources-{place}-{name}": str(value) for name, value in row.items()}
    return table


def test_the_same_source_twice_is_refused(operator: Client) -> None:
    register({"url": URL})
    data = {"work": str(WORK), "episode": str(EPISODE), "provider": "animasu", "resolution": "720p", "url": URL,
            "position": "0", "enabled": "on"}  # fmt: skip
    assert "registered for this video already" in text(operator.post(f"{SOURCES}add/", data, follow=True))
    assert WorkSource.objects.count() == 1


def test_a_work_with_many_sources_links_to_their_list(operator: Client) -> None:
    register(*({"url": URL, "episode": n} for n in range(INLINE_MAX + 1)))
    page = operator.get(f"{WORKS}{WORK}/change/")
    assert f"{INLINE_MAX + 1} ) sources" in text(page) or f"{INLINE_MAX + 1} sources" in text(page)
    assert b"sources-TOTAL_FORMS" not in page.content
    saved = operator.post(f"{WORKS}{WORK}/change/", {"title": "Another", "paste": ""}, follow=True)
    assert saved.status_code == 200
    assert (Work.objects.get().title, WorkSource.objects.count()) == ("Another", INLINE_MAX + 1)


def test_a_work_is_changed_without_its_number(operator: Client) -> None:
    register({"url": URL})
    source = WorkSource.objects.get()
    table = {**NO_TABLE, "sources-TOTAL_FORMS": "1", "sources-INITIAL_FORMS": "1", "sources-0-id": str(source.pk),
             "sources-0-work": str(WORK), **in_table(0, episode="9", label="New")}  # fmt: skip
    operator.post(f"{WORKS}{WORK}/change/", {"mal_id": "1", "title": "Another", "paste": "", **table}, follow=True)
    assert Work.objects.values_list("mal_id", "title").get() == (WORK, "Another")
    assert WorkSource.objects.values_list("pk", "episode", "label").get() == (source.pk, 9, "New")


# --- Lists ---


def test_the_list_shows_how_each_source_stands(operator: Client, tmp_path: Path) -> None:
    register({"url": URL}, {"url": f"{URL}?token=hush-hush", "episode": 4}, {"url": URL, "episode": 5})
    archive(KEY, [make_account(tmp_path)])
    VideoQueue.objects.create(mal_id=WORK, episode=4, provider="animasu", resolution="720p", video_url=URL,
                              status="downloading")  # fmt: skip
    failed = Wanted(f"{URL}?token=hush-hush", "720p")
    moment = now()
    ResolvedSource.objects.create(key=failed.key, url=failed.url, error="It is gone.", resolved_at=moment)
    good = Wanted(URL, "720p")
    ResolvedSource.objects.create(key=good.key, url=URL, url_resolved=URL, resolver="direct", resolved_at=moment)
    page = operator.get(SOURCES)
    shown = text(page)
    for words in ("Archived", "Downloading", "Not enqueued", "It is gone.", "Resolved by direct"):
        assert words in shown
    assert b"hush-hush" not in page.content


def test_the_list_takes_a_fixed_number_of_queries(operator: Client, django_assert_max_num_queries: Any) -> None:
    register(*({"url": URL, "episode": n} for n in range(40)))
    with django_assert_max_num_queries(8):
        operator.get(SOURCES)


@pytest.mark.parametrize(
    ("state", "episodes"), [("failing", [EPISODE]), ("archived", [EPISODE]), ("missing", [4, 5]), ("", [EPISODE, 4, 5])]
)
def test_the_filter_asks_what_operators_ask(operator: Client, tmp_path: Path, state: str, episodes: list[int]) -> None:
    register({"url": URL, "resolution": None}, {"url": URL, "episode": 4}, {"url": URL, "episode": 5})
    archive(VideoKey(WORK, EPISODE, "animasu", None), [make_account(tmp_path)])
    ResolvedSource.objects.create(key=Wanted(URL).key, url=URL, error="It is gone.", resolved_at=now())
    found = operator.get(SOURCES, {"state": state} if state else {}).context["cl"].result_list
    assert [source.episode for source in found] == episodes


@pytest.mark.parametrize("path", [WORKS, SOURCES, f"{WORKS}add/", f"{SOURCES}add/"])
def test_every_page_opens(operator: Client, path: str) -> None:
    register({"url": URL})
    assert operator.get(path).status_code == 200
    assert operator.get(path, {"q": "title"}).status_code == 200
    assert operator.get(path, {"q": str(2**70)}).status_code == 200


def test_a_source_s_page_tells_the_whole_error(operator: Client) -> None:
    register({"url": URL, "resolution": None})
    ResolvedSource.objects.create(key=Wanted(URL).key, url=URL, error="Too long ago. " * 20, resolved_at=now())
    assert "Too long ago. " * 20 in text(operator.get(f"{SOURCES}{WorkSource.objects.get().pk}/change/")) + " "


@pytest.mark.parametrize("resolution", ["720p", None])
@pytest.mark.parametrize("resolver", ["", "direct"])
def test_the_database_names_a_source_as_we_do(db: None, resolution: str | None, resolver: str) -> None:
    register({"url": f"{URL}?ü=%20", "resolution": resolution, "resolver": resolver})
    found = WorkSource.objects.annotate(name=CACHE_KEY).values_list("name", flat=True).get()
    assert found == Wanted(f"{URL}?ü=%20", resolution, resolver).key


def test_who_may_only_look_changes_nothing(viewer: Client) -> None:
    register({"url": URL})
    assert viewer.get(SOURCES).status_code == 200
    assert viewer.get(f"{WORKS}{WORK}/change/").status_code == 200
    act(viewer, "archive_now")
    assert not VideoQueue.objects.exists()
    assert viewer.post(f"{WORKS}add/", {}).status_code == 403


def allowed(*names: str) -> Client:
    """Logged in, may do this alone."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="queue_app"))
    client = Client()
    client.force_login(user)
    return client


def test_who_may_change_works_alone_pastes_no_sources(db: None) -> None:
    register({"url": URL})
    staff = allowed("view_work", "change_work")
    page = f"{WORKS}{WORK}/change/"
    assert "Add sources" not in text(staff.get(page))
    line = f"7 | animasu | 720p | {URL}"
    assert staff.post(page, {"title": "Another", "paste": line}, follow=True).status_code == 200
    assert (Work.objects.get().title, WorkSource.objects.count()) == ("Another", 1)


def test_who_may_also_add_and_change_sources_pastes_them(db: None) -> None:
    register({"url": URL})
    staff = allowed("view_work", "change_work", "add_worksource", "change_worksource", "view_worksource")
    data = {"title": "A title", "paste": f"7 | animasu | 720p | {URL}", **table_of_all()}
    assert "1 sources added, 0 changed." in messages(staff.post(f"{WORKS}{WORK}/change/", data, follow=True))


def test_only_who_may_add_videos_archives(db: None) -> None:
    register({"url": URL})
    staff = allowed("view_work", "change_work", "view_worksource", "change_worksource")
    act(staff, "archive_now")
    act(staff, "archive_works", WORKS, [WORK])
    assert not VideoQueue.objects.exists()
    staff = Client()
    user = User.objects.get(username="staff")
    user.user_permissions.add(Permission.objects.get(codename="add_videoqueue"))
    staff.force_login(user)
    act(staff, "archive_works", WORKS, [WORK])
    assert VideoQueue.objects.count() == 1


# --- Actions ---


def test_archive_now_enqueues_and_revives(operator: Client) -> None:
    register({"url": URL}, {"url": f"{URL}0"}, {"url": URL, "episode": 4}, {"url": URL, "episode": 5})
    for episode, status in ((4, "failed"), (5, "downloading")):
        VideoQueue.objects.create(
            mal_id=WORK, episode=episode, provider="animasu", resolution="720p", video_url="https://old.example/",
            status=status,
        )  # fmt: skip
    answer = act(operator, "archive_now")
    assert messages(answer) == ["2 videos enqueued.", "1 video left alone, being enqueued or archived already."]
    jobs = VideoQueue.objects.order_by("episode").values_list("episode", "status", "video_url")
    assert list(jobs) == [
        (EPISODE, "pending", URL), (4, "pending", URL), (5, "downloading", "https://old.example/"),
    ]  # fmt: skip
    assert LogEntry.objects.count() == 4


def test_a_work_s_episodes_are_archived_together(operator: Client) -> None:
    register({"url": URL}, {"url": URL, "episode": 4}, {"url": URL, "episode": 5, "enabled": False})
    assert messages(act(operator, "archive_works", WORKS, [WORK])) == ["2 videos enqueued."]


def test_archiving_a_work_revives_nothing_that_was_ended(operator: Client, tmp_path: Path) -> None:
    register(*({"url": URL, "episode": n} for n in range(7)))
    for episode, status in enumerate(("failed", "cancelled", "downloading", "ready")):
        VideoQueue.objects.create(
            mal_id=WORK, episode=episode, provider="animasu", resolution="720p", video_url=URL, status=status
        )
    archived, deleted = (archive(VideoKey(WORK, n, "animasu", "720p"), []) for n in (4, 5))
    delete_videos([deleted.pk], actor="operator", reason="Gone.")
    answer = act(operator, "archive_works", WORKS, [WORK])
    assert messages(answer)[:2] == [
        "1 video enqueued.", "3 videos left alone, being enqueued or archived already.",
    ]  # fmt: skip
    assert "3 videos left alone: 1 cancelled, 1 deleted, 1 failed." in messages(answer)[2]
    jobs = VideoQueue.objects.order_by("episode").values_list("episode", "status")
    assert list(jobs) == [(0, "failed"), (1, "cancelled"), (2, "downloading"), (3, "ready"), (6, "pending")]
    assert VideoStore.objects.get() == archived


def test_sources_are_disabled_and_enabled(operator: Client) -> None:
    register({"url": URL})
    act(operator, "disable")
    assert WorkSource.objects.get().enabled is False
    act(operator, "enable")
    assert WorkSource.objects.get().enabled is True


def test_resolve_now_asks_anew_and_says_how_it_went(reachable: Origin, django_user_model: Any, client: Client) -> None:
    client.force_login(django_user_model.objects.create_superuser("boss"))
    register({"url": reachable.put("/index.m3u8", PLAYLIST)}, {"url": reachable.url("/gone.m3u8")})
    assert messages(act(client, "resolve_now")) == [
        "1 source resolved.", "1 source can't be resolved: the list says why.",
    ]  # fmt: skip
    act(client, "resolve_now")
    assert reachable.count("/index.m3u8") == 2
