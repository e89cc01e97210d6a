"""Idempotency-Key on POST /trigger."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now

from queue_app import tasks
from queue_app.models import JobEvent, RememberedAnswer, VideoQueue
from tests.api.conftest import VIDEO, Send


def with_key(send: Send, body: Any, key: str = "k1") -> Any:
    return send(body, HTTP_IDEMPOTENCY_KEY=key)


@pytest.mark.parametrize("body", [VIDEO, [VIDEO, {}]])
def test_the_same_request_again_gets_the_same_answer_and_says_so(send: Send, body: Any) -> None:
    first = with_key(send, body)
    VideoQueue.objects.update(status="ready")
    again = with_key(send, body)
    assert (again.status_code, again.content) == (202, first.content)
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")


def test_a_replay_revives_nothing(send: Send) -> None:
    with_key(send, VIDEO)
    VideoQueue.objects.update(status="failed")
    events = JobEvent.objects.count()
    with_key(send, VIDEO)
    assert (VideoQueue.objects.get().status, JobEvent.objects.count()) == ("failed", events)


def test_another_key_does_it_again(send: Send) -> None:
    with_key(send, VIDEO)
    VideoQueue.objects.update(status="failed")
    assert with_key(send, VIDEO, "k2").json()["status"] == "pending"


def test_the_same_key_with_another_body_is_422_and_stores_nothing(send: Send) -> None:
    with_key(send, VIDEO)
    answer = with_key(send, {**VIDEO, "episode": 2})
    assert (answer.status_code, list(answer.json())) == (422, ["Idempotency-Key"])
    assert VideoQueue.objects.count() == 1


def test_a_refused_request_may_be_corrected_and_sent_with_its_key(send: Send) -> None:
    assert with_key(send, {**VIDEO, "episode": -1}).status_code == 400
    answer = with_key(send, VIDEO)
    assert (answer.status_code, answer.get("Idempotency-Replayed")) == (202, None)


@pytest.mark.parametrize("key", ["x", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~"])
def test_any_visible_ascii_is_a_key(send: Send, key: str) -> None:
    assert with_key(send, VIDEO, key).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é", "\t", "\x7f"])
def test_what_is_no_key_is_refused_by_name(send: Send, key: str) -> None:
    answer = with_key(send, VIDEO, key)
    assert (answer.status_code, list(answer.json())) == (400, ["Idempotency-Key"])
    assert not VideoQueue.objects.exists()


def test_a_key_is_worth_nothing_without_the_token(send: Send) -> None:
    with_key(send, VIDEO)
    assert send(VIDEO, token="wrong", HTTP_IDEMPOTENCY_KEY="k1").status_code == 401


def test_after_a_day_a_key_may_be_used_afresh(send: Send) -> None:
    with_key(send, VIDEO)
    RememberedAnswer.objects.update(at=Now() - timedelta(hours=25))
    answer = with_key(send, {**VIDEO, "episode": 2})
    assert (answer.status_code, answer.get("Idempotency-Replayed")) == (202, None)
    assert with_key(send, {**VIDEO, "episode": 2})["Idempotency-Replayed"] == "true"


def test_the_chore_forgets_old_keys_only(send: Send) -> None:
    for key in ("old", "new"):
        with_key(send, VIDEO, key)
    RememberedAnswer.objects.filter(key="old").update(at=Now() - timedelta(hours=25))
    assert tasks.forget_answers() == 1
    assert RememberedAnswer.objects.get().key == "new"


def test_what_is_remembered_holds_no_source_url(send: Send) -> None:
    with_key(send, {**VIDEO, "video_url": VIDEO["video_url"] + "?sig=secret"})
    assert "secret" not in RememberedAnswer.objects.get().answer


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_same_time_one_does_it_and_the_others_get_its_answer(send: Send) -> None:
    start, answers = threading.Barrier(8), []
    key = str(uuid4())

    def one() -> None:
        start.wait()
        answers.append(with_key(send, VIDEO, key))
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202] * 8
    assert len({answer.content for answer in answers}) == 1
    assert sum(answer.get("Idempotency-Replayed") is None for answer in answers) == 1


@pytest.mark.django_db(transaction=True)
def test_when_the_answer_cannot_be_remembered_nothing_is_enqueued(send: Send) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE remembered_answer ADD CONSTRAINT broken CHECK (false) NOT VALID")
    try:
        assert with_key(send, VIDEO).status_code == 400
        assert not VideoQueue.objects.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE remembered_answer DROP CONSTRAINT broken")
