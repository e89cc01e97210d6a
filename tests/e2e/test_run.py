"""The README's two commands (without the installation, which `make` has done by now)."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress

import psutil
import requests

from tests.e2e.conftest import StartInstance
from tests.worker.conftest import eventually


def test_it_starts_from_nothing_and_stops_cleanly(start_instance: StartInstance) -> None:
    instance = start_instance()
    instance.wait_until_it_serves()
    assert "with the password" in instance.output()
    tree = instance.tree()
    os.killpg(instance.process.pid, signal.SIGTERM)
    assert instance.process.wait(30) == 0
    assert psutil.wait_procs(tree, timeout=5)[1] == []


def test_it_starts_a_second_time_and_shows_no_password_again(start_instance: StartInstance) -> None:
    first = start_instance()
    first.wait_until_it_serves()
    salt = first.secret("HF_FILE_SALT")
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(30) == 0
    said = len(first.output())
    second = start_instance()
    second.wait_until_it_serves()
    assert "password" not in second.output()[said:]
    assert second.secret("HF_FILE_SALT") == salt


def test_it_starts_again_after_everything_was_killed(start_instance: StartInstance) -> None:
    first = start_instance()
    first.wait_until_it_serves()
    for process in first.tree():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    first.process.wait(10)
    start_instance().wait_until_it_serves()


def test_nothing_of_it_outlives_its_own_death_but_the_database(start_instance: StartInstance) -> None:
    instance = start_instance()
    instance.wait_until_it_serves()
    tree = [process for process in instance.tree() if not process.name().startswith("postgres")]
    instance.process.kill()
    assert psutil.wait_procs(tree, timeout=20)[1] == []


def test_a_dead_worker_web_server_and_database_are_started_again(start_instance: StartInstance) -> None:
    instance = start_instance()
    instance.wait_until_it_serves()
    before = {child.pid for child in psutil.Process(instance.process.pid).children()}
    assert len(before) == 3
    for pid in before:
        psutil.Process(pid).kill()
    eventually(lambda: len({c.pid for c in psutil.Process(instance.process.pid).children()} - before) == 3)
    instance.wait_until_it_serves()


def test_commands_beside_it_find_its_database(start_instance: StartInstance) -> None:
    instance = start_instance()
    instance.wait_until_it_serves()
    answer = instance.manage("psql", "--", "-Atc", "SELECT count(*) FROM worker")
    assert (answer.returncode, answer.stdout) == (0, "1\n")
    again = instance.manage("prepare")
    assert (again.returncode, again.stdout) == (0, "")
    lane = instance.manage("archive_lane", "download")
    assert (lane.returncode, "archive_worker" in lane.stderr) == (1, True)


def test_a_second_one_on_the_same_data_or_port_is_refused(start_instance: StartInstance) -> None:
    instance = start_instance()
    instance.wait_until_it_serves()
    other = start_instance()
    assert other.process.wait(20) == 1
    assert "already runs" in other.output()
    third = start_instance(data="third", PORT=str(instance.port))
    assert third.process.wait(20) == 1
    assert f"Port {instance.port} can't be used" in third.output()


def test_commands_say_what_to_do_when_the_database_does_not_run(start_instance: StartInstance) -> None:
    instance = start_instance()
    instance.wait_until_it_serves()
    instance.process.send_signal(signal.SIGTERM)
    instance.process.wait(30)
    for words in (["prepare"], ["psql"]):
        answer = instance.manage(*words)
        assert answer.returncode == 1
        assert "make run" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_the_made_up_token_opens_the_trigger_and_no_other_does(start_instance: StartInstance) -> None:
    instance = start_instance()
    instance.wait_until_it_serves()
    answers = [
        requests.post(f"{instance.url}/trigger", json={}, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        for token in ("", "wrong", instance.secret("TRIGGER_TOKEN"))
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 400]


def test_the_demo_archives_plays_and_compares(start_instance: StartInstance) -> None:
    instance = start_instance("--demo", ONCE="1")
    assert instance.process.wait(180) == 0, instance.output()
    said = re.sub(r"[\s│]+", " ", instance.output())
    for check in ("every byte of the source", "every frame of the source", "a Range in the middle", "local1, local2"):
        assert check in said


def test_the_demo_says_so_when_a_video_fails(start_instance: StartInstance) -> None:
    instance = start_instance("--demo", ONCE="1", URL="http://127.0.0.1:9/none.mp4", FETCH_ALLOW_HOSTS="127.0.0.1:10")
    assert instance.process.wait(180) == 1
    assert "video_url" in instance.output()
