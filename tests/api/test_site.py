"""/status, /health, the OpenAPI document, and addresses that lead nowhere."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.utils.timezone import now
from drf_spectacular.validation import validate_schema

from archive_site.api_errors import handle
from queue_app.models import VideoQueue, Worker
from queue_app.queue import enqueue_video
from storage_app.models import StorageAccount
from storage_app.naming import VideoKey
from tests.api.conftest import VIDEO, Send

UNREACHABLE = {"HOST": "127.0.0.1", "PORT": "1"}


@pytest.fixture
def database_down(transactional_db: None) -> Any:
    """A database address where nothing listens, for as long as the test runs."""
    kept = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(UNREACHABLE)
    yield
    connection.close()
    connection.settings_dict.update(kept)


def test_status_counts_every_state_also_those_with_nothing_in_them(db: None) -> None:
    for episode, status in enumerate(["pending", "pending", "failed", "uploading"]):
        job = enqueue_video(VideoKey(1, episode, "p", None), "https://example.com/v")
        VideoQueue.objects.filter(pk=job.pk).update(status=status)
    counts = {"pending": 2, "downloading": 0, "uploading": 1, "ready": 0, "failed": 1, "cancelled": 0}
    assert Client().get("/status").json() == {"queue": counts, "archived": 0}


def test_status_takes_one_query(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        Client().get("/status/")


def worker(**changes: Any) -> Worker:
    return Worker.objects.create(id="w", host="h", pid=1, version="1", capacity=2, **changes)


def health() -> Any:
    answer = Client().get("/health")
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.django_db(transaction=True)
def test_health_of_an_empty_site() -> None:
    assert health() == {
        "status": "ok", "database": True, "worker_running": False, "storage_accounts": 0,
        "cf_workers_configured": False, "version": "0.1.0.dev0", "service": "reelkeep", "platform": "django",
        "environment": {
            "hasAuthSecret": False, "hasHfApiKey": False, "hasWebhookUrl": False, "hasWebhookSecret": False,
            "asrProvider": None,
        },
        "cache": {"hitRate": None},
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("silent", "stopped", "running"),
    [(0, False, True), (25, False, True), (40, False, False), (0, True, False)],
)
def test_health_tells_a_living_worker_by_its_heartbeat(silent: int, stopped: bool, running: bool) -> None:
    worker(last_heartbeat=now() - timedelta(seconds=silent), stopped_at=now() if stopped else None)
    assert health()["worker_running"] is running


@pytest.mark.django_db(transaction=True)
def test_health_counts_the_accounts_in_use() -> None:
    for index, enabled in enumerate([True, True, False], start=1):
        StorageAccount.objects.create(
            index=index, kind="local", username=f"u{index}", root=f"/r/{index}", enabled=enabled
        )
    assert health()["storage_accounts"] == 2


@pytest.mark.django_db(transaction=True)
def test_health_tells_that_secrets_are_set_and_never_what_they_are(settings: Any) -> None:
    names = [
        "ENGINE_SHARED_SECRET",
        "HF_API_KEY",
        "BUSINESS_ENGINE_WEBHOOK_URL",
        "BUSINESS_ENGINE_WEBHOOK_SECRET",
    ]
    for name in [*names, "CLOUDFLARE_WORKERS_URL"]:
        setattr(settings, name, "https://secret-value")
    settings.ASR_PROVIDER = "local"
    answer = health()
    assert "secret-value" not in json.dumps(answer)
    assert answer["cf_workers_configured"] is True
    assert answer["environment"].pop("asrProvider") == "local"
    assert set(answer["environment"].values()) == {True}


def test_health_without_a_database_is_503_at_once(database_down: None) -> None:
    started = time.monotonic()
    answer = Client().get("/health")
    assert time.monotonic() - started < 3
    assert (answer.status_code, answer.json()["status"], answer.json()["database"]) == (503, "error", False)


def test_without_a_database_clients_are_told_to_come_again(database_down: None, send: Send) -> None:
    for answer in (send(VIDEO), Client().get("/status"), Client().get("/stream/1/1/p")):
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert "127.0.0.1" not in answer.content.decode()


def test_the_openapi_document_is_valid_and_shows_the_bearer_scheme(db: None) -> None:
    document = json.loads(Client().get("/api/schema", headers={"Accept": "application/json"}).content)
    validate_schema(document)  # type: ignore[no-untyped-call]
    assert document["components"]["securitySchemes"]["trigger_token"]["scheme"] == "bearer"
    assert document["paths"]["/trigger"]["post"]["security"] == [{"trigger_token": []}]
    assert "/stream/{mal_id}/{episode}/{provider}/{resolution}" in document["paths"]


def test_the_docs_page_loads_nothing_from_elsewhere(db: None) -> None:
    page = Client().get("/api/docs").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page


def test_the_front_door_leads_to_the_admin(db: None) -> None:
    assert Client().get("/")["Location"] == "/admin/"


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", ["/nothing", "/api/nothing/", "/trigger/x", "/stream/1", "/%00", "/%ff"])
def test_an_unknown_address_is_a_json_404_also_while_debugging(db: None, settings: Any, path: str, debug: bool) -> None:
    settings.DEBUG = debug
    answer = Client().post(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")


def test_a_malformed_host_is_a_json_400(db: None) -> None:
    answer = Client().get("/status", headers={"Host": "a b"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")


def test_a_fault_of_ours_is_a_json_500_that_shows_nothing_of_it() -> None:
    answer = handle(RuntimeError("password=hunter2"), {})
    assert answer is not None
    assert (answer.status_code, "hunter2" in str(answer.data)) == (500, False)


def test_counting_the_living_takes_the_databases_clock(db: None) -> None:
    assert worker(last_heartbeat=Now()) in Worker.objects.filter(last_heartbeat__lte=Now())
