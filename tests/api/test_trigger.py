"""POST /trigger: what is taken, and what it answers to everything else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from queue_app.models import VideoQueue
from tests.api.conftest import VIDEO, Send

Refuse = Callable[..., Any]


def test_a_video_is_taken_and_committed(send: Send) -> None:
    answer = send(VIDEO)
    assert answer.status_code == 202
    job = VideoQueue.objects.get(pk=answer.json()["id"])
    assert (job.mal_id, job.episode, job.provider, job.resolution) == (55825, 1, "animasu", "720p")
    assert job.video_url == VIDEO["video_url"]


def test_the_answer_names_the_job_and_where_it_will_play(send: Send) -> None:
    answer = send(VIDEO).json()
    del answer["id"]
    assert answer == {
        "status": "pending", "mal_id": 55825, "episode": 1, "provider": "animasu", "resolution": "720p",
        "stream_url": "http://localhost:7860/stream/55825/1/animasu/720p",
    }  # fmt: skip


def test_the_stream_url_is_at_the_edge_where_a_worker_is_configured(send: Send, settings: Any) -> None:
    settings.CLOUDFLARE_WORKERS_URL = "https://edge.example"
    assert send(VIDEO).json()["stream_url"] == "https://edge.example/stream/55825/1/animasu/720p"


def test_the_same_video_again_is_the_same_job(send: Send) -> None:
    first, second = send(VIDEO), send(VIDEO)
    assert (second.status_code, second.json()["id"]) == (202, first.json()["id"])


@pytest.mark.parametrize("resolution", [{}, {"resolution": None}, {"resolution": ""}])
def test_no_resolution_is_one_job_however_it_is_said(send: Send, resolution: dict[str, Any]) -> None:
    video = {name: value for name, value in VIDEO.items() if name != "resolution"}
    first = send({**video, "resolution": None}).json()
    again = send({**video, **resolution}).json()
    assert (again["id"], again["resolution"]) == (first["id"], None)
    assert again["stream_url"].endswith("/stream/55825/1/animasu")


@pytest.mark.parametrize("path", ["/trigger", "/trigger/"])
def test_a_slash_at_the_end_makes_no_difference(send: Send, path: str) -> None:
    assert send(VIDEO, path=path).status_code == 202


@pytest.mark.parametrize("mal_id", [0, 2**63 - 1, "55825", "7301234567890123456"])
def test_every_id_that_fits_a_bigint_is_taken_also_as_digits(send: Send, mal_id: int | str) -> None:
    answer = send({**VIDEO, "mal_id": mal_id})
    assert (answer.status_code, answer.json()["mal_id"]) == (202, int(mal_id))


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_the_body_is_json_whatever_the_content_type(send: Send, kind: str) -> None:
    assert send(VIDEO, content_type=kind).status_code == 202


def test_the_accept_header_does_not_matter(send: Send) -> None:
    assert send(VIDEO, HTTP_ACCEPT="text/xml").status_code == 202


def test_fields_nobody_knows_are_ignored_and_the_last_of_twins_wins(send: Send) -> None:
    body = json.dumps({**VIDEO, "legacy": [1, {"\u0000": None}]})
    twins = body[:-1] + ', "episode": 7}'
    assert send(twins.encode()).json()["episode"] == 7


def test_a_failed_job_takes_the_new_url_and_starts_afresh(send: Send) -> None:
    job = send(VIDEO).json()["id"]
    VideoQueue.objects.filter(pk=job).update(status="failed")
    answer = send({**VIDEO, "video_url": "https://93.184.216.34/other.mp4"}).json()
    assert (answer["id"], answer["status"]) == (job, "pending")
    assert VideoQueue.objects.get(pk=job).video_url == "https://93.184.216.34/other.mp4"


# --- Who may ---


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic dTpw", "tests-trigger-token"])
def test_without_the_right_token_it_is_401_before_the_body_is_looked_at(header: str) -> None:
    headers = {"Authorization": header} if header else {}
    answer = Client().post("/trigger", b"{rubbish", content_type="application/json", headers=headers)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert "tests-trigger-token" not in answer.content.decode()


def test_a_token_beyond_ascii_is_just_wrong(send: Send) -> None:
    assert send(VIDEO, token="ÿ").status_code == 401


def test_the_scheme_is_not_case_sensitive() -> None:
    headers = {"Authorization": "bearer tests-trigger-token"}
    assert Client().post("/trigger", b"", content_type="application/json", headers=headers).status_code == 400


@pytest.mark.parametrize("token", ["", "x"])
def test_without_a_configured_token_nobody_gets_in_and_the_log_says_why(
    send: Send, settings: Any, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    settings.TRIGGER_TOKEN = ""
    with caplog.at_level(logging.ERROR):
        assert send(VIDEO, token=token).status_code == 401
    assert "Set TRIGGER_TOKEN" in caplog.text


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_methods_are_405_in_json(db: None, method: str) -> None:
    headers = {"Authorization": "Bearer tests-trigger-token"}
    answer = getattr(Client(), method)("/trigger", headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/json")


# --- Bodies ---


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"rubbish", b"\xff\xfe\xff", b"mal_id=1&episode=2", b'{"mal_id": NaN}',
        b'{"mal_id": Infinity}',
        b'{"a":' * 100_000, b"[" * 500_000, b"[]", b'"text"', b"1", b"null",
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_400_with_a_sentence(send: Send, body: bytes) -> None:
    answer = send(body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("The body ")


def test_a_body_over_a_mebibyte_is_413(send: Send) -> None:
    answer = send({**VIDEO, "padding": "x" * 1024 * 1024})
    assert (answer.status_code, answer["Content-Type"]) == (413, "application/json")


def test_a_body_of_exactly_a_mebibyte_is_read(send: Send) -> None:
    body = json.dumps(VIDEO).encode()
    assert send(body + b" " * (1024 * 1024 - len(body))).status_code == 202


@pytest.mark.parametrize(("length", "status"), [("10", 400), ("99999999999", 413), ("junk", 400), ("-5", 400)])
def test_a_content_length_that_lies_is_no_500(send: Send, length: str, status: int) -> None:
    assert send(VIDEO, CONTENT_LENGTH=length).status_code == status


def test_an_empty_object_names_every_field_that_is_missing(send: Send) -> None:
    assert set(send({}).json()) == {"mal_id", "episode", "provider", "video_url"}


# --- Fields ---

NO_INTEGER: list[Any] = [None, True, False, 1.5, 1.0, "", "x", "1.5", " 1", "-1", "٣", [], {}, -1]


@pytest.mark.parametrize("value", [*NO_INTEGER, 2**63, 10**100, "9" * 30, "9" * 5000])
def test_a_work_that_is_no_bigint_is_refused(refuse: Refuse, value: object) -> None:
    assert list(refuse(mal_id=value)) == ["mal_id"]


@pytest.mark.parametrize("value", [*NO_INTEGER, 2**31, 10**100])
def test_an_episode_that_is_no_integer_is_refused(refuse: Refuse, value: object) -> None:
    assert list(refuse(episode=value)) == ["episode"]


def test_a_number_of_thousands_of_digits_names_its_field(send: Send) -> None:
    body = json.dumps({**VIDEO, "mal_id": 0}).replace('"mal_id": 0', '"mal_id": ' + "9" * 10_000)
    answer = send(body.encode())
    assert (answer.status_code, list(answer.json())) == (400, ["mal_id"])


@pytest.mark.parametrize(
    "value",
    [
        None, 1, True, [], {}, "", " ", " a", "a ", "a\n", "a/b", "a\\b", ".", "..", "x" * 21, "a\0b",
        "a\tb", "\ud800",
        "a\u200bb", "a\u2028b", "\x7f",
    ],
)  # fmt: skip
def test_a_provider_that_is_no_path_segment_is_refused(refuse: Refuse, value: object) -> None:
    assert list(refuse(provider=value)) == ["provider"]


@pytest.mark.parametrize("value", ["日本", "a:b", "a b", "x" * 20, "100%", "a?b#c", "é", "😀"])
def test_a_provider_may_be_in_any_script_and_its_url_is_quoted(send: Send, value: str) -> None:
    answer = send({**VIDEO, "provider": value})
    assert answer.status_code == 202
    path = answer.json()["stream_url"].removeprefix("http://localhost:7860")
    assert Client().get(path).json()["status"] == "pending"


@pytest.mark.parametrize(
    "value", [1, True, [], {}, " ", "a:b", "a/b", ".", "..", "x" * 11, "a\0", "\ud800", "720p ", "é"]
)
def test_a_resolution_that_is_no_word_is_refused(refuse: Refuse, value: object) -> None:
    assert list(refuse(resolution=value)) == ["resolution"]


@pytest.mark.parametrize(
    "value",
    [
        None, 1, True, [], {}, "", " ", "x", "ftp://example.com/a", "file:///etc/passwd", "//example.com/a",
        "http://",
        "https:///a", "http:example.com", "javascript:alert(1)", "https://example.com/a b",
        "https://example.com/\0",
        "https://example.com/\n", " https://example.com/", "https://user:pw@example.com/",
        "https://u@example.com/",
        "https://example.com/\ud800", "https://example.com:0/", "https://example.com:99999/",
        "https://[::1/", "http://[x]/",
        "https://exa\\mple.com/", "https://example.com/" + "x" * 8192,
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_a_video_url_that_cannot_be_fetched_is_refused(refuse: Refuse, value: object) -> None:
    assert list(refuse(video_url=value)) == ["video_url"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8080", "localhost", "0.0.0.0", "10.0.0.1", "192.168.1.1", "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fd00::1]", "[fe80::1]", "2130706433", "0x7f.1",
        "127.1", "017700000001",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(refuse: Refuse, host: str) -> None:
    assert list(refuse(video_url=f"http://{host}/video.mp4")) == ["video_url"]


def test_an_allowed_private_address_is_taken_at_its_port_only(send: Send, refuse: Refuse, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = frozenset({("127.0.0.1", 9000)})
    assert send({**VIDEO, "video_url": "http://127.0.0.1:9000/v.mp4"}).status_code == 202
    assert "FETCH_ALLOW_HOSTS" in refuse(video_url="http://127.0.0.1:9001/v.mp4")["video_url"][0]


def test_a_name_that_does_not_resolve_is_taken_for_it_may_do_so_later(send: Send) -> None:
    assert send({**VIDEO, "video_url": "https://does-not-exist.invalid/v.mp4"}).status_code == 202


def test_several_faults_are_told_at_once(refuse: Refuse) -> None:
    assert set(refuse(mal_id=-1, provider="a/b", video_url="x")) == {"mal_id", "provider", "video_url"}


def test_a_refused_video_is_not_stored(refuse: Refuse) -> None:
    refuse(provider="a/b")
    assert not VideoQueue.objects.exists()
