"""GET, PUT and DELETE /api/v1/anime/mal/…: works and their sources."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from queue_app.models import VideoQueue, Work, WorkSource
from storage_app.playback.signing import MAX_URL
from tests.environment import TRIGGER_TOKEN
from tests.sources import BEARER, WORK

PATH = f"/api/v1/anime/mal/{WORK}"
URL = "https://93.184.216.34/watch/1"
FIRST: dict[str, Any] = {
    "episode": 1, "provider": "animasu", "label": "Vidhidepro 720p", "url": URL, "resolution": "720p",
}  # fmt: skip
SECOND: dict[str, Any] = {"episode": 2, "provider": "animasu", "url": URL}

pytestmark = pytest.mark.django_db


def put(*sources: Any, path: str = PATH, headers: dict[str, str] | None = None, **body: Any) -> Any:
    data = json.dumps({"title": "A title", "sources": list(sources), **body})
    return Client().put(path, data, "application/json", headers=BEARER if headers is None else headers)


def shown(headers: dict[str, str] | None = None) -> Any:
    answer = Client().get(PATH, headers=headers)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_what_was_put_is_shown() -> None:
    answer = put(FIRST, SECOND)
    assert (answer.status_code, answer.json()) == (
        201, {"success": True, "mal_id": WORK, "created": True, "added": 2, "changed": 0, "removed": 0},
    )  # fmt: skip
    assert shown() == {
        "success": True, "mal_id": WORK, "title": "A title",
        "sources": [FIRST, {**SECOND, "label": "animasu", "resolution": None}],
    }  # fmt: skip


def test_what_is_shown_with_the_token_can_be_put_again() -> None:
    put({**FIRST, "resolver": "direct", "enabled": False}, SECOND)
    told = shown(BEARER)
    assert [source["enabled"] for source in told["sources"]] == [False, True]
    again = put(*told["sources"], title=told["title"])
    assert (again.status_code, again.json()["added"], again.json()["changed"]) == (200, 0, 0)
    assert [source["episode"] for source in shown()["sources"]] == [2]


def test_the_same_again_writes_nothing() -> None:
    put(FIRST, SECOND)
    before = list(WorkSource.objects.values()), Work.objects.values().get()
    assert put(FIRST, SECOND).json()["created"] is False
    assert (list(WorkSource.objects.values()), Work.objects.values().get()) == before


def test_put_takes_the_place_of_all_there_was() -> None:
    put(FIRST, SECOND)
    kept = WorkSource.objects.get(episode=1).pk
    told = put({**FIRST, "label": "New"}, {**FIRST, "url": f"{URL}0"}, title="Another").json()
    assert (told["added"], told["changed"], told["removed"]) == (1, 1, 1)
    assert (shown()["title"], WorkSource.objects.get(label="New").pk) == ("Another", kept)
    assert [source["url"] for source in shown()["sources"]] == [URL, f"{URL}0"]


def test_the_order_is_that_of_the_list() -> None:
    put(FIRST, {**FIRST, "url": f"{URL}0"})
    put({**FIRST, "url": f"{URL}0"}, FIRST)
    assert [source["url"] for source in shown()["sources"]] == [f"{URL}0", URL]


def test_a_url_may_be_as_long_as_one_that_can_be_signed() -> None:
    long = f"{URL}?".ljust(MAX_URL, "x")
    assert put({**FIRST, "url": long}, {**FIRST, "url": f"{long[:-1]}y"}).status_code == 201
    for more in (1, 8192):
        refused = put({**FIRST, "url": long + "x" * more})
        assert refused.status_code == 400
        assert f"Must have 1 to {MAX_URL} characters." in refused.content.decode()


def test_registering_enqueues_nothing() -> None:
    put(FIRST)
    assert not VideoQueue.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"episode": -1}, "episode"),
        ({"episode": True}, "episode"),
        ({"provider": "a/b"}, "provider"),
        ({"provider": "x" * 21}, "provider"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "http://localhost/"}, "url"),
        ({"url": None}, "url"),
        ({"resolution": "a:b"}, "resolution"),
        ({"label": "x" * 101}, "label"),
        ({"label": "a\nb"}, "label"),
        ({"label": "a\0b"}, "label"),
        ({"resolver": "nobody"}, "resolver"),
        ({"enabled": "perhaps"}, "enabled"),
    ],
)
def test_a_fault_is_told_at_its_field_and_nothing_is_written(change: dict[str, Any], field: str) -> None:
    put(SECOND)
    answer = put(FIRST, {**FIRST, "episode": 7, **change}, title="Another")
    assert (answer.status_code, list(answer.json())) == (400, ["sources"])
    assert {place: list(errors) for place, errors in answer.json()["sources"].items()} == {"1": [field]}
    assert (shown()["title"], len(shown()["sources"])) == ("A title", 1)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"title": "", "sources": []}, ["title"]),
        ({"title": "x" * 501, "sources": []}, ["title"]),
        ({"title": "A"}, ["sources"]),
        ({"title": "A", "sources": {}}, ["sources"]),
        ({"title": "A", "sources": [7]}, ["sources"]),
        ([], ["detail"]),
        ({}, ["title", "sources"]),
    ],
)
def test_a_body_of_another_form_is_refused(body: Any, fields: list[str]) -> None:
    answer = Client().put(PATH, json.dumps(body), "application/json", headers=BEARER)
    assert (answer.status_code, list(answer.json())) == (400, fields)
    assert not Work.objects.exists()


def test_the_same_source_twice_is_refused() -> None:
    answer = put(FIRST, {**FIRST, "label": "Other"})
    assert (answer.status_code, answer.json()["sources"].keys()) == (400, {"1"})


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {TRIGGER_TOKEN}"}, {"Authorization": "Bearer "}])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/episodes/1"])
def test_only_the_token_registers(path: str, headers: dict[str, str]) -> None:
    assert put(FIRST, path=path, headers=headers).status_code == 401
    assert Client().delete(path, headers=headers).status_code == 401
    assert not Work.objects.exists()


def test_a_wrong_token_is_no_way_to_read() -> None:
    put(FIRST)
    answer = Client().get(PATH, headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["error"], answer["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_any_site_may_read_but_not_write() -> None:
    put(FIRST)
    assert Client().get(PATH)["Access-Control-Allow-Origin"] == "*"
    for path in (PATH, f"{PATH}/episodes/1", f"{PATH}/episodes/1/"):
        preflight = Client().options(path)
        assert (preflight.status_code, preflight["Access-Control-Allow-Methods"]) == (204, "GET, HEAD, OPTIONS")


def test_an_unknown_work_is_not_found() -> None:
    answer = Client().get(PATH)
    assert (answer.status_code, answer.json()["success"], answer.json()["error"]) == (404, False, "not_found")
    assert Client().delete(PATH, headers=BEARER).status_code == 404


@pytest.mark.parametrize("number", ["x", str(2**63), "-1", "1.0", "1e3"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    answer = Client().get(f"/api/v1/anime/mal/{number}")
    told = answer.json()
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (400, "*")
    assert (told["success"], told["error"], told["detail"][:8]) == (False, "bad_request", "mal_id: ")
    assert put(FIRST, path=f"/api/v1/anime/mal/{number}").status_code == 400


def test_deleting_forgets_the_sources_and_leaves_the_queue() -> None:
    put(FIRST)
    VideoQueue.objects.create(mal_id=WORK, episode=1, provider="animasu", resolution="720p", video_url=URL)
    assert Client().delete(PATH, headers=BEARER).status_code == 204
    assert not WorkSource.objects.exists()
    assert VideoQueue.objects.count() == 1


# --- One episode ---


def test_an_episode_is_put_by_itself() -> None:
    put(FIRST, SECOND)
    source = {"provider": "other", "url": URL}
    told = put(source, path=f"{PATH}/episodes/2").json()
    assert (told["added"], told["removed"]) == (1, 1)
    assert [(source["episode"], source["provider"]) for source in shown()["sources"]] == [(1, "animasu"), (2, "other")]


def test_an_episode_of_an_unknown_work_needs_a_title() -> None:
    path = f"{PATH}/episodes/2"
    answer = Client().put(path, json.dumps({"sources": [SECOND]}), "application/json", headers=BEARER)
    assert (answer.status_code, list(answer.json())) == (400, ["title"])
    assert not Work.objects.exists()
    assert put(SECOND, path=path).status_code == 201


def test_an_episode_takes_no_sources_of_another() -> None:
    assert list(put(SECOND, path=f"{PATH}/episodes/1").json()) == ["sources"]


def test_an_episode_is_deleted_by_itself() -> None:
    put(FIRST, SECOND)
    assert Client().delete(f"{PATH}/episodes/2", headers=BEARER).status_code == 204
    assert Client().delete(f"{PATH}/episodes/2", headers=BEARER).status_code == 404
    assert [source["episode"] for source in shown()["sources"]] == [1]
