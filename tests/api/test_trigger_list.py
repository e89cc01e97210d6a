"""POST /trigger with a list: each item is answered by itself."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from archive_site import address_lists
from archive_site.address_lists import AddressChecks
from archive_site.safe_http import Policy
from queue_app.models import VideoQueue
from tests.api.conftest import VIDEO, Send


def videos(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [{**VIDEO, "episode": episode, **changes} for episode in range(number)]


def test_each_item_is_answered_in_its_place(send: Send) -> None:
    items = [{**VIDEO, "episode": 9}, {**VIDEO, "episode": -1}, "text", {**VIDEO, "episode": 3}]
    answer = send(items)
    assert answer.status_code == 202
    data = answer.json()
    assert (data["accepted"], data["refused"]) == (2, 2)
    assert [item.get("episode") for item in data["items"]] == [9, None, None, 3]
    assert [list(item.get("errors", ())) for item in data["items"]] == [[], ["episode"], ["item"], []]


def test_an_item_is_answered_as_it_would_be_alone(send: Send) -> None:
    assert send([VIDEO]).json()["items"] == [send(VIDEO).json()]


def test_every_accepted_item_is_stored(send: Send) -> None:
    ids = {item["id"] for item in send(videos(50)).json()["items"]}
    assert {str(pk) for pk in VideoQueue.objects.values_list("pk", flat=True)} == ids


def test_twins_in_a_list_are_one_job(send: Send) -> None:
    first, second = send([VIDEO, VIDEO]).json()["items"]
    assert first == second


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_ended_job_is_revived_by_a_list_too(send: Send, status: str) -> None:
    send(VIDEO)
    VideoQueue.objects.update(status=status)
    assert send([VIDEO]).json()["items"][0]["status"] == "pending"


@pytest.mark.parametrize("number", [0, 1001])
def test_a_list_of_no_or_too_many_items_is_400(send: Send, number: int) -> None:
    answer = send([{}] * number)
    assert answer.status_code == 400
    assert "1 to 1000" in answer.json()["detail"]


def test_a_list_of_a_thousand_is_taken(send: Send) -> None:
    assert send(videos(1000)).json()["accepted"] == 1000


@pytest.mark.parametrize("item", [None, 1, True, "x", [], [[]], {}])
def test_an_item_of_any_kind_gets_an_answer(send: Send, item: Any) -> None:
    answer = send([item])
    assert answer.status_code == 202
    assert answer.json()["refused"] == 1
    assert answer.json()["items"][0]["errors"]


def test_an_address_that_is_not_public_is_refused_in_its_place(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, lambda host: "10.0.0.1" if host == "inside.test" else "93.184.216.34")
    urls = ["https://outside.test/a", "https://inside.test/b?sig=secret", "http://127.0.0.1/c"]
    answer = send([{**VIDEO, "episode": n, "video_url": url} for n, url in enumerate(urls)])
    assert [list(item.get("errors", ())) for item in answer.json()["items"]] == [[], ["video_url"], ["video_url"]]
    assert "secret" not in answer.content.decode()


def test_each_host_is_looked_up_once(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolve(monkeypatch, lambda host: "93.184.216.34")
    send(videos(100, video_url="https://one.test/v"))
    assert asked == ["one.test"]


def test_a_dns_that_never_answers_holds_a_list_up_for_a_bounded_time(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    resolve(monkeypatch, lambda host: "93.184.216.34" if never.wait(20) else "")
    monkeypatch.setattr(address_lists, "LOOKUP_SECONDS", 0.5)
    checks = AddressChecks(Policy(), seconds=1)
    started = time.monotonic()
    assert checks.refusals(f"https://host{n}.test/v" for n in range(200)) == {}
    never.set()
    assert time.monotonic() - started < 3


def resolve(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> list[str]:
    """Stands in for the network's name servers; the hosts that were asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_kwargs: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer(host), port))]

    monkeypatch.setattr("archive_site.addresses.socket.getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.django_db(transaction=True)
def test_lists_that_share_videos_in_opposite_orders_do_not_lock_each_other_out(
    connect: Callable[[], psycopg.Connection[dict[str, Any]]],
) -> None:
    items = [{**VIDEO, "episode": episode} for episode in range(300)]
    clients = [(connect(), items), (connect(), items[::-1])]

    def run(client: psycopg.Connection[dict[str, Any]], order: list[dict[str, Any]]) -> None:
        for _ in range(5):
            client.execute("SELECT * FROM enqueue_videos(%s)", [json.dumps(order)])

    threads = [threading.Thread(target=run, args=pair) for pair in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert VideoQueue.objects.count() == 300
