"""GET /api/v1/streaming/…: what players are told of an episode before, during and after archiving."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client

from queue_app.models import JobEvent, ResolvedSource, VideoQueue, WorkSource
from queue_app.queue import cancel_videos
from storage_app.deletion import delete_videos
from storage_app.models import VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.urls import keyring
from tests.archive import archive, make_account
from tests.servers.misbehaviour import Body, Needs, Redirect, Stall, Status
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.sources import EPISODE, PLAYLIST, WORK, ask, error_of, register, ways

KEY = VideoKey(WORK, EPISODE, "animasu", "720p")


def test_the_answer_is_the_contracts(reachable: Origin) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"label": "Vidhidepro 720p", "url": url})
    told = ask()
    [way] = told.pop("data").pop("animasu")
    assert told == {"success": True, "mal_id": WORK, "episode": EPISODE}
    stream = way.pop("stream")
    assert way == {
        "provider": "Vidhidepro 720p", "url": url, "url_resolved": url, "resolution": "720p", "archived": False,
    }  # fmt: skip
    query = {name: values[0] for name, values in parse_qs(urlsplit(stream).query).items()}
    assert stream.startswith("http://localhost:7860/proxy?")
    assert keyring().verify(query, 0).url == url


def test_a_page_is_resolved_to_its_video(reachable: Origin, videos: Videos) -> None:
    film = reachable.put("/film.mp4", videos.mp4.read_bytes())
    page = reachable.put("/watch.html", b'<title>A film</title><video src="/film.mp4"></video>')
    register({"url": page, "label": "Page"})
    [way] = ways()
    assert (way["url"], way["url_resolved"]) == (page, film)


def test_sources_are_told_by_provider_in_their_order(reachable: Origin) -> None:
    first, second, third = (reachable.put(f"/{name}.m3u8", PLAYLIST) for name in "abc")
    register(
        {"url": third, "provider": "zzz"}, {"url": first, "label": "One"}, {"url": second, "resolution": None},
        {"url": first, "enabled": False, "resolution": "480p"},
    )  # fmt: skip
    data = ask()["data"]
    assert list(data) == ["zzz", "animasu"]
    assert [(way["provider"], way["resolution"]) for way in data["animasu"]] == [("One", "720p"), ("animasu", None)]


def test_what_cant_be_resolved_is_null_and_fails_nothing(reachable: Origin) -> None:
    good, bad = reachable.put("/good.m3u8", PLAYLIST), reachable.url("/gone")
    register({"url": bad}, {"url": good})
    assert [(way["url_resolved"], way["stream"] is None) for way in ways()] == [(None, True), (good, False)]
    assert "404" in error_of(bad)


@pytest.mark.parametrize("trouble", [Status(code=500), Redirect(to="http://10.0.0.1/x.mp4"), Body(content=b"")])
def test_a_source_in_trouble_is_null(reachable: Origin, trouble: Any) -> None:
    url = reachable.url("/film.mp4")
    reachable.misbehave("/film.mp4", trouble)
    register({"url": url})
    assert ways()[0]["url_resolved"] is None
    assert error_of(url)


def test_resolving_is_cached_for_twenty_minutes(reachable: Origin) -> None:
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    ways()
    asked = reachable.count("/index.m3u8")
    ways()
    assert reachable.count("/index.m3u8") == asked == 1
    _age(timedelta(minutes=19))
    ways()
    assert reachable.count("/index.m3u8") == 1
    _age(timedelta(minutes=1, seconds=1))
    ways()
    assert reachable.count("/index.m3u8") == 2


def test_a_failure_is_forgotten_sooner(reachable: Origin) -> None:
    url = reachable.url("/later.m3u8")
    register({"url": url})
    assert ways()[0]["url_resolved"] is None
    reachable.put("/later.m3u8", PLAYLIST)
    _age(timedelta(minutes=1, seconds=55))
    assert ways()[0]["url_resolved"] is None
    _age(timedelta(seconds=10))
    assert ways()[0]["url_resolved"] == url


def test_a_source_that_hangs_is_null_in_time(reachable: Origin, settings: Any) -> None:
    settings.RESOLVE_SECONDS = 1.0
    url = reachable.put("/slow.m3u8", PLAYLIST)
    reachable.misbehave("/slow.m3u8", Stall(after=0))
    register({"url": url})
    assert ways()[0]["url_resolved"] is None


def test_an_old_answer_does_while_another_process_asks_anew(reachable: Origin) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url})
    ways()
    _age(timedelta(minutes=25))
    ResolvedSource.objects.update(
        lease_token="0a7c2b5e-51f7-4b3e-9a3c-6f1d2e3c4b5a", lease_expires_at=Now() + timedelta(minutes=1)
    )
    assert ways()[0]["url_resolved"] == url
    assert reachable.count("/index.m3u8") == 1


def test_without_an_old_answer_another_processs_is_waited_for(reachable: Origin, settings: Any) -> None:
    settings.RESOLVE_SECONDS = 0.5
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url})
    ways()
    _age(timedelta(hours=3))
    ResolvedSource.objects.update(
        lease_token="0a7c2b5e-51f7-4b3e-9a3c-6f1d2e3c4b5a", lease_expires_at=Now() + timedelta(minutes=1)
    )
    assert ways()[0]["url_resolved"] is None
    assert reachable.count("/index.m3u8") == 1


def test_fifty_viewers_at_once_make_one_resolving_and_one_job(reachable: Origin) -> None:
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(_apart, range(50)))
    assert {answer["data"]["animasu"][0]["url_resolved"] for answer in answers} == {reachable.url("/index.m3u8")}
    assert reachable.count("/index.m3u8") == 1
    assert VideoQueue.objects.count() == 1
    assert JobEvent.objects.count() == 1


def test_what_nobody_has_archived_is_enqueued_as_it_is_registered(reachable: Origin) -> None:
    page = reachable.put("/watch.html", b'<video src="/film.m3u8"></video>')
    reachable.put("/film.m3u8", PLAYLIST)
    register({"url": page}, {"url": reachable.url("/other.m3u8")}, {"url": page, "resolution": None})
    ask()
    ask()
    jobs = VideoQueue.objects.order_by("resolution").values_list("provider", "resolution", "video_url", "status")
    assert list(jobs) == [("animasu", "720p", page, "pending"), ("animasu", None, page, "pending")]
    assert set(JobEvent.objects.values_list("actor", flat=True)) == {"viewer"}


@pytest.mark.parametrize("status", ["failed", "cancelled", "downloading", "ready"])
def test_a_viewer_changes_no_job(reachable: Origin, status: str) -> None:
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    ask()
    VideoQueue.objects.update(status=status, video_url="https://example.org/other")
    ask()
    assert list(VideoQueue.objects.values_list("status", "video_url")) == [(status, "https://example.org/other")]


def test_what_was_deleted_is_not_enqueued_again_even_without_its_job(reachable: Origin, tmp_path: Path) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url})
    video = archive(KEY, [make_account(tmp_path)])
    assert delete_videos([video.pk], actor="operator", reason="Gone.") == 1
    assert ways()[0]["url_resolved"] == url
    assert not VideoQueue.objects.exists()


def test_the_archive_takes_over_without_a_change_of_address(reachable: Origin, tmp_path: Path) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url})
    assert ways()[0]["url_resolved"] == url
    archive(KEY, [make_account(tmp_path)])
    [way] = ways()
    archived = f"http://localhost:7860/stream/{WORK}/{EPISODE}/animasu/720p"
    assert (way["url"], way["url_resolved"], way["stream"], way["archived"]) == (url, archived, archived, True)
    assert reachable.count("/index.m3u8") == 1


def test_an_archived_video_is_told_after_its_source_is_gone(transactional_db: None, tmp_path: Path) -> None:
    archive(KEY, [make_account(tmp_path)])
    [way] = ways()
    stream = f"http://localhost:7860/stream/{WORK}/{EPISODE}/animasu/720p"
    assert way == {
        "provider": "animasu 720p", "url": stream, "url_resolved": stream, "resolution": "720p", "stream": stream,
        "archived": True,
    }  # fmt: skip


def test_a_row_of_the_store_without_a_file_is_no_archived_video(reachable: Origin, tmp_path: Path) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url})
    video = archive(KEY, [make_account(tmp_path)])
    VideoStore.objects.filter(pk=video.pk).update(stored_file=None)
    assert ways()[0]["url_resolved"] == url
    assert not VideoQueue.objects.exists()


def test_a_worker_in_front_is_what_players_are_led_to(reachable: Origin, settings: Any) -> None:
    settings.CLOUDFLARE_WORKERS_URL = "https://edge.example"
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    assert ways()[0]["stream"].startswith("https://edge.example/proxy?exp=")


def test_a_source_with_its_own_resolver_is_asked_of_that_one_alone(reachable: Origin) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url, "resolver": "yt-dlp"})
    ways()
    assert ResolvedSource.objects.get().resolver in {"", "yt-dlp"}
    assert "direct" not in error_of(url)


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        (f"{WORK}/{EPISODE}", 404, "not_found"),
        ("x/1", 400, "bad_request"),
        (f"{2**63}/1", 400, "bad_request"),
        ("1/-1", 400, "bad_request"),
        (f"1/{2**31}", 400, "bad_request"),
        ("1/1.5", 400, "bad_request"),
    ],
)
def test_refusals_have_one_shape(transactional_db: None, path: str, status: int, error: str) -> None:
    answer = Client().get(f"/api/v1/streaming/{path}")
    told = answer.json()
    assert (answer.status_code, told["success"], told["error"]) == (status, False, error)
    assert told["detail"].endswith(".")
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_an_unknown_episode_of_a_known_work_says_so(transactional_db: None) -> None:
    register({"url": "https://93.184.216.34/a", "episode": 9})
    answer = Client().get(f"/api/v1/streaming/{WORK}/{EPISODE}")
    assert (answer.status_code, f"episode {EPISODE}" in answer.json()["detail"]) == (404, True)


def test_scripts_of_any_site_may_ask(transactional_db: None) -> None:
    path = f"/api/v1/streaming/{WORK}/{EPISODE}/"
    preflight = Client().options(path)
    assert (preflight.status_code, preflight["Access-Control-Allow-Methods"]) == (204, "GET, HEAD, OPTIONS")
    assert Client().post(path).status_code == 405


def test_a_request_to_what_is_known_takes_one_query(
    reachable: Origin, django_assert_num_queries: Any, tmp_path: Path
) -> None:
    from queue_app.sources.offers import find_offers

    urls = [reachable.put(f"/{name}.m3u8", PLAYLIST) for name in "abc"]
    register(*({"url": url, "resolution": f"{n}p"} for n, url in enumerate(urls)))
    ask()
    with django_assert_num_queries(1):
        assert all(offer.known.fresh for offer in find_offers(WORK, EPISODE))


def test_without_the_database_it_says_so(transactional_db: None) -> None:
    from archive_site.database_threads import close_connections

    kept = dict(connection.settings_dict)
    connection.settings_dict.update({"HOST": "127.0.0.1", "PORT": "1"})
    close_connections()
    try:
        answer = Client().get(f"/api/v1/streaming/{WORK}/{EPISODE}")
    finally:
        connection.settings_dict.update(kept)
    assert (answer.status_code, answer.json()["error"], answer["Retry-After"]) == (503, "unavailable", "5")


def test_a_broken_connection_is_replaced(reachable: Origin) -> None:
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    ask()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    assert ask()["success"]


def test_cancelled_stays_cancelled_and_plays_on(reachable: Origin) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url})
    ask()
    cancel_videos(VideoQueue.objects.values_list("pk", flat=True), actor="operator", reason="No.")
    assert ways()[0]["url_resolved"] == url
    assert VideoQueue.objects.get().status == "cancelled"


def test_a_source_that_wants_headers_of_its_own_page_is_null(reachable: Origin) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    reachable.misbehave("/index.m3u8", Needs(headers={"Referer": "https://example.org/"}))
    register({"url": url})
    assert ways()[0]["url_resolved"] is None
    assert WorkSource.objects.count() == 1


def _apart(_: int) -> Any:
    try:
        return ask()
    finally:
        connection.close()


def _age(by: timedelta) -> None:
    ResolvedSource.objects.update(resolved_at=F("resolved_at") - by, expires_at=F("expires_at") - by)
