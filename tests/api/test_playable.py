"""What /stream/… may play while a video isn't archived."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils.timezone import now

from queue_app.models import ResolvedSource, VideoQueue, WorkSource
from queue_app.queue import enqueue_video
from queue_app.sources import playable_source
from storage_app.deletion import delete_videos
from storage_app.naming import VideoKey
from storage_app.playback.source import PlayableSource
from tests.archive import archive, make_account
from tests.playing import play
from tests.servers.misbehaviour import Status
from tests.servers.origin import Origin
from tests.sources import EPISODE, PLAYLIST, WORK, register

KEY = VideoKey(WORK, EPISODE, "animasu", "720p")
STREAM = f"/stream/{WORK}/{EPISODE}/animasu/720p"
source_of = async_to_sync(playable_source)


def store_by_contract() -> None:
    """As another program does, by the contract's function alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT upsert_video_store(%s, %s, 'animasu', '720p', 'key', 1, 'repo', 'path', 'https://a.example/x', '')",
            [WORK, EPISODE],
        )


def test_nothing_is_known_of_a_video_nobody_asked_for(transactional_db: None) -> None:
    assert source_of(KEY) is None


@pytest.mark.parametrize("status", ["pending", "downloading", "uploading", "failed", "ready"])
def test_the_jobs_own_url_is_played(reachable: Origin, status: str) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    enqueue_video(KEY, url)
    VideoQueue.objects.update(status=status)
    assert source_of(KEY) == PlayableSource(url, status)
    assert source_of(KEY) == PlayableSource(url, status)
    assert reachable.count("/index.m3u8") == 1


def test_the_page_helps_where_the_url_has_expired(reachable: Origin) -> None:
    film = reachable.put("/new.m3u8", PLAYLIST)
    page = reachable.put("/watch.html", b'<video src="/new.m3u8"></video>')
    enqueue_video(KEY, reachable.url("/expired.m3u8"), page)
    assert source_of(KEY) == PlayableSource(film, "pending")


def test_a_registered_source_helps_where_the_jobs_url_is_gone(reachable: Origin) -> None:
    other = reachable.put("/other.m3u8", PLAYLIST)
    enqueue_video(KEY, reachable.url("/gone.m3u8"))
    register({"url": other})
    assert source_of(KEY) == PlayableSource(other, "pending")


def test_a_registered_video_is_played_and_enqueued(reachable: Origin) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    register({"url": url})
    assert source_of(KEY) == PlayableSource(url, "pending")
    assert VideoQueue.objects.get().video_url == url
    assert source_of(VideoKey(WORK, EPISODE, "animasu", None)) is None


def test_what_was_cancelled_or_disabled_is_not_played(reachable: Origin) -> None:
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    WorkSource.objects.update(enabled=False)
    assert source_of(KEY) is None
    WorkSource.objects.update(enabled=True)
    enqueue_video(KEY, reachable.url("/index.m3u8"))
    VideoQueue.objects.update(status="cancelled")
    assert source_of(KEY) is None


def test_what_was_deleted_is_not_played(reachable: Origin, tmp_path: Path) -> None:
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    video = archive(KEY, [make_account(tmp_path)])
    delete_videos([video.pk], actor="operator", reason="Gone.")
    assert source_of(KEY) is None
    assert not VideoQueue.objects.exists()


def instead(source: PlayableSource | None) -> str | None:
    """What plays instead of it."""
    assert source is not None
    assert source.instead is not None
    return async_to_sync(source.instead)()


def test_a_dead_url_is_resolved_anew_else_the_next_source_plays(reachable: Origin) -> None:
    old, new, other = (reachable.put(f"/{name}.m3u8", PLAYLIST) for name in ("old", "new", "other"))
    page = reachable.put("/watch.html", b'<video src="/old.m3u8"></video>')
    register({"url": page}, {"url": other})
    first = source_of(KEY)
    assert first == PlayableSource(old, "pending")
    reachable.put("/watch.html", b'<video src="/new.m3u8"></video>')
    assert instead(first) == other  # it was found a moment ago: nothing else would be
    ResolvedSource.objects.update(resolved_at=now() - timedelta(minutes=5))
    assert instead(first) == new
    assert instead(first) == new
    assert source_of(KEY) == PlayableSource(new, "pending")


def test_a_dead_url_without_others_is_the_end_of_it(reachable: Origin) -> None:
    url = reachable.put("/index.m3u8", PLAYLIST)
    enqueue_video(KEY, url)
    first = source_of(KEY)
    reachable.misbehave("/index.m3u8", Status(code=403))
    ResolvedSource.objects.update(resolved_at=now() - timedelta(minutes=5))
    assert instead(first) is None
    asked = reachable.count("/index.m3u8")
    assert instead(first) is None
    assert source_of(KEY) is None
    assert reachable.count("/index.m3u8") == asked


def test_what_cant_be_resolved_is_not_played(reachable: Origin) -> None:
    enqueue_video(KEY, reachable.url("/gone.m3u8"))
    assert source_of(KEY) is None


# --- A row of the store that no file stands behind ---


def test_a_row_by_the_contract_alone_plays_its_jobs_source(reachable: Origin) -> None:
    enqueue_video(KEY, reachable.put("/index.m3u8", PLAYLIST))
    store_by_contract()
    answer = play(STREAM)
    assert (answer.status_code, b"#EXTINF" in answer.body) == (200, True)


def test_a_row_by_the_contract_alone_plays_a_registered_source_and_enqueues_nothing(reachable: Origin) -> None:
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    store_by_contract()
    assert b"#EXTINF" in play(STREAM).body
    assert not VideoQueue.objects.exists()


def test_a_row_by_the_contract_alone_without_a_source_has_no_copy(transactional_db: None) -> None:
    store_by_contract()
    answer = play(STREAM)
    assert (answer.status_code, answer.json()["error"]) == (503, "no_copy")


def test_a_row_by_the_contract_alone_whose_job_was_cancelled_has_no_copy(reachable: Origin) -> None:
    enqueue_video(KEY, reachable.put("/index.m3u8", PLAYLIST))
    store_by_contract()
    VideoQueue.objects.update(status="cancelled")
    assert play(STREAM).status_code == 503
