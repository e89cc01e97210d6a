"""enqueue_video, called as any PostgreSQL client would call it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.conftest import Client

URL = "https://example.org/a.mp4"


def enqueue(client: Client, url: str = URL, resolution: str | None = "720p", **more: Any) -> dict[str, Any]:
    arguments = {"mal_id": 55825, "episode": 1, "provider": "animasu", "url": url, "resolution": resolution, **more}
    row = client.execute(
        "SELECT * FROM enqueue_video(p_mal_id => %(mal_id)s, p_episode => %(episode)s, p_provider => %(provider)s,"
        " p_video_url => %(url)s, p_resolution => %(resolution)s)",
        arguments,
    ).fetchone()
    assert row is not None
    return row


def test_a_new_video_is_pending(client_connection: Client) -> None:
    row = enqueue(client_connection)
    assert (row["status"], row["retry_count"], row["error_message"]) == ("pending", 0, None)
    assert row["mal_id"] == 55825
    assert row["created_at"] is not None


def test_the_same_key_again_is_the_same_job(client_connection: Client) -> None:
    first = enqueue(client_connection)
    again = enqueue(client_connection, url="https://example.org/other.mp4")
    assert again["id"] == first["id"]
    assert again["video_url"] == URL


def test_no_resolution_twice_is_the_same_job(client_connection: Client) -> None:
    assert enqueue(client_connection, resolution=None)["id"] == enqueue(client_connection, resolution=None)["id"]


def test_an_empty_resolution_is_no_resolution(client_connection: Client) -> None:
    assert enqueue(client_connection, resolution="")["resolution"] is None


def test_a_19_digit_work_fits(client_connection: Client) -> None:
    assert enqueue(client_connection, mal_id=7_234_567_890_123_456_789)["mal_id"] == 7_234_567_890_123_456_789


def test_a_failed_video_takes_the_new_url_and_waits_again(client_connection: Client) -> None:
    job = enqueue(client_connection)["id"]
    client_connection.execute("SELECT update_video_queue_status(%s, 'failed', 'gone')", [job])
    row = enqueue(client_connection, url="https://example.org/new.mp4")
    assert (row["id"], row["status"], row["video_url"]) == (job, "pending", "https://example.org/new.mp4")
    assert row["retry_count"] == 1


@pytest.mark.parametrize("status", ["ready", "downloading", "uploading"])
def test_a_video_that_is_ready_or_in_work_is_left_alone(client_connection: Client, status: str) -> None:
    job = enqueue(client_connection)["id"]
    client_connection.execute("SELECT update_video_queue_status(%s, %s)", [job, status])
    row = enqueue(client_connection, url="https://example.org/new.mp4")
    assert (row["status"], row["video_url"]) == (status, URL)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "javascript:alert(1)", "", "https://"])
def test_a_url_that_is_not_http_is_refused(client_connection: Client, url: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="http"):
        enqueue(client_connection, url=url)


@pytest.mark.parametrize("bad", [{"episode": -1}, {"provider": "x" * 21}, {"resolution": "72:0p"}])
def test_what_breaks_the_key_is_refused_by_the_database(client_connection: Client, bad: dict[str, Any]) -> None:
    with pytest.raises(psycopg.Error):
        enqueue(client_connection, **bad)


def test_many_connections_at_once_make_one_row_and_no_error(connect: Callable[[], Client]) -> None:
    clients = [connect() for _ in range(16)]
    with ThreadPoolExecutor(len(clients)) as pool:
        rounds = [list(pool.map(lambda c, n=n: enqueue(c, episode=n)["id"], clients)) for n in range(20)]
    assert all(len(set(ids)) == 1 for ids in rounds)
    row = clients[0].execute("SELECT count(*) FROM video_queue").fetchone()
    assert row == {"count": 20}
