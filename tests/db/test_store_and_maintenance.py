"""The remaining functions and views of CONTRACT §1.1, and who may call them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from queue_app.protection import sql_function_names
from tests.conftest import Client, dsn

STORE = {
    "p_mal_id": 55825, "p_episode": 1, "p_provider": "animasu", "p_resolution": "720p", "p_file_key": "f" * 32,
    "p_hf_account": 1, "p_hf_repo": "u/weaboo-55825", "p_hf_path": "55825/ep1/f.mp4", "p_hf_direct_url": "https://d",
    "p_stream_url": "https://s",
}  # fmt: skip


def upsert(client: Client, **changes: Any) -> dict[str, Any]:
    arguments = {**STORE, **changes}
    call = ", ".join(f"{name} => %({name})s" for name in arguments)
    row = client.execute(f"SELECT * FROM upsert_video_store({call})", arguments).fetchone()
    assert row is not None
    return row


def test_upsert_stores_the_result_and_sets_the_job_ready(client_connection: Client) -> None:
    client_connection.execute("SELECT enqueue_video(55825, 1, 'animasu', 'https://x/a.mp4', '720p')")
    row = upsert(client_connection)
    assert {f"p_{name}": row[name] for name in row if f"p_{name}" in STORE} == STORE
    job = client_connection.execute("SELECT status FROM video_queue").fetchone()
    assert job == {"status": "ready"}


def test_upsert_again_replaces_the_row_of_the_key(client_connection: Client) -> None:
    first = upsert(client_connection, p_resolution=None)
    again = upsert(client_connection, p_resolution=None, p_hf_account=2)
    assert (again["id"], again["hf_account"]) == (first["id"], 2)


def test_failed_grows_the_retry_count_and_keeps_the_error(client_connection: Client) -> None:
    client_connection.execute("SELECT enqueue_video(1, 1, 'a', 'https://x/a.mp4')")
    row = client_connection.execute(
        "SELECT job.* FROM video_queue q,"
        " update_video_queue_status(p_id => q.id, p_status => 'failed', p_error => 'no route') job"
    ).fetchone()
    assert row is not None
    assert (row["status"], row["retry_count"], row["error_message"]) == ("failed", 1, "no route")


def test_a_status_that_does_not_exist_is_refused(client_connection: Client) -> None:
    client_connection.execute("SELECT enqueue_video(1, 1, 'a', 'https://x/a.mp4')")
    with pytest.raises(psycopg.errors.CheckViolation):
        client_connection.execute("SELECT update_video_queue_status(id, 'done') FROM video_queue")


def test_worker_stats_have_a_row_for_each_worker(client_connection: Client) -> None:
    client_connection.execute(
        "INSERT INTO worker (id, host, pid, version, capacity, failed) VALUES ('w', 'h', 1, '0', 2, 3)"
    )
    client_connection.execute("SELECT enqueue_video(1, 1, 'a', 'https://x/a.mp4')")
    client_connection.execute("SELECT claim_videos('download', 'w', 2, 2, interval '1 minute')")
    [row] = client_connection.execute("SELECT * FROM get_worker_stats()").fetchall()
    assert row.pop("last_heartbeat") is not None
    assert row == {"id": "w", "host": "h", "active_jobs": 1, "done": 0, "failed": 3}


def test_cleanup_removes_only_old_finished_media_jobs(client_connection: Client) -> None:
    client_connection.execute(
        "INSERT INTO media_job (kind, file_id, status, completed_at) VALUES"
        " ('transcode', gen_random_uuid(), 'completed', now() - interval '31 days'),"
        " ('transcode', gen_random_uuid(), 'failed', now() - interval '29 days'),"
        " ('transcode', gen_random_uuid(), 'processing', NULL)"
    )
    assert client_connection.execute("SELECT cleanup_old_transcoding_jobs() AS n").fetchone() == {"n": 1}
    assert client_connection.execute("SELECT cleanup_old_transcoding_jobs('1 day') AS n").fetchone() == {"n": 1}


def test_the_views_part_the_transcoding_jobs_by_state(client_connection: Client) -> None:
    client_connection.execute(
        "INSERT INTO media_job (kind, file_id, status) VALUES ('transcode', gen_random_uuid(), 'pending'),"
        " ('transcode', gen_random_uuid(), 'completed'), ('transcribe', gen_random_uuid(), 'pending')"
    )
    for view in ("active_transcoding_jobs", "transcoding_history"):
        assert client_connection.execute(f"SELECT count(*) FROM {view}").fetchone() == {"count": 1}


@pytest.fixture
def supabase_roles(client_connection: Client) -> Iterator[None]:
    """The roles of a Supabase database, with the grants that it gives them on everything new."""
    roles = ("anon", "authenticated", "service_role")
    for role in roles:
        client_connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        client_connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        client_connection.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role}")
    call_command("migrate", verbosity=0)
    yield
    for role in roles:
        client_connection.execute(f"DROP OWNED BY {role}")
        client_connection.execute(f"DROP ROLE {role}")


@pytest.mark.usefixtures("supabase_roles")
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_the_public_of_a_supabase_database_can_neither_read_nor_call(role: str) -> None:
    statements = [
        "SELECT * FROM video_queue", "SELECT * FROM auth_user", "SELECT * FROM active_transcoding_jobs",
        "SELECT enqueue_video(1, 1, 'a', 'https://x/a.mp4')", "SELECT * FROM claim_pending_videos(1)",
        "SELECT * FROM get_worker_stats()",
    ]  # fmt: skip
    with psycopg.connect(dsn(), user=role, password="x", autocommit=True) as outsider:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                outsider.execute(statement)


def test_every_table_has_row_level_security(client_connection: Client) -> None:
    rows = client_connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND NOT relrowsecurity"
    ).fetchall()
    assert rows == []


def test_no_function_of_ours_may_be_called_by_everybody(client_connection: Client) -> None:
    rows = client_connection.execute(
        "SELECT proname FROM pg_proc WHERE proname = ANY (%s) AND has_function_privilege('public', oid, 'execute')",
        [sorted(sql_function_names())],
    ).fetchall()
    assert rows == []
