"""Several workers, several accounts, and what is sent while the download still runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import close_session

from storage_app.backends.base import FileToPut, Stopped, StorageAuthError
from storage_app.backends.huggingface import HuggingFaceBackend
from tests.servers.hub import Hub, Silence, Slow, busy
from tests.servers.hub.faults import Refuse
from tests.unit.huggingface import PATH, REPO, account, file_of, put, random_bytes

ROOT = Path(__file__).parents[2]
BIG = 12_000_000


def worker(hub: Hub, file: FileToPut, memory: Path, way: str) -> subprocess.Popen[bytes]:
    """A process of its own that puts the file on ann's account."""
    arguments = [hub.endpoint, "ann", str(file.source), file.path, str(memory), way]
    return subprocess.Popen([sys.executable, "-m", "tests.unit.put_huggingface", *arguments], cwd=ROOT, env=os.environ)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_two_workers_commit_to_one_repository(hub: Hub, tmp_path: Path, way: str) -> None:
    hub.add_user("ann")
    files = [file_of(tmp_path, random_bytes(200_000), f"55825/ep{n}/a.mp4") for n in range(2)]
    hub.misbehave("commit", busy(1))
    workers = [worker(hub, file, tmp_path / "memory", way) for file in files]
    assert [one.wait(120) for one in workers] == [0, 0]
    assert {file.path: hub.sha256("ann", REPO, file.path) for file in files} == {
        file.path: file.sha256 for file in files
    }


def test_workers_of_two_hosts_are_told_apart_by_the_hub(hub: Hub, tmp_path: Path) -> None:
    hub.add_user("ann")
    files = [file_of(tmp_path, random_bytes(200_000), f"55825/ep{n}/a.mp4") for n in range(2)]
    hub.misbehave("commit", busy(3))
    workers = [worker(hub, file, tmp_path / f"host{n}", "lfs") for n, file in enumerate(files)]
    assert [one.wait(120) for one in workers] == [0, 0]
    assert all(hub.sha256("ann", REPO, file.path) == file.sha256 for file in files)


def test_threads_that_begin_a_work_together_make_one_repository(hub: Hub, tmp_path: Path) -> None:
    backend = account(hub, "ann", tmp_path)
    files = [file_of(tmp_path, random_bytes(50_000), f"55825/ep{n}/a.mp4") for n in range(4)]
    threads = [threading.Thread(target=put, args=(backend, file)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {file.path for file in files} | {"README.md"} == set(hub.files("ann", REPO))


def test_an_account_that_cannot_be_reached_does_not_cut_off_the_others(hub: Hub, tmp_path: Path) -> None:
    backend, file = account(hub, "ann", tmp_path, xet=False), file_of(tmp_path, random_bytes(500_000))
    hub.misbehave("put", Slow(bytes_per_second=500_000))
    thread = threading.Thread(target=put, args=(backend, file))
    thread.start()
    until(lambda: hub.received("ann")["lfs"] > 100_000)
    close_session()  # as the client does in all threads after any failure to connect
    thread.join(60)
    assert hub.count("put") == 1
    assert hub.sha256("ann", REPO, PATH) == file.sha256


@pytest.mark.parametrize(("way", "step"), [("xet", "xorb"), ("xet", "commit"), ("lfs", "put"), ("lfs", "commit")])
def test_a_worker_that_is_killed_leaves_nothing_in_the_way(hub: Hub, tmp_path: Path, way: str, step: str) -> None:
    hub.add_user("ann")
    file = file_of(tmp_path, random_bytes(2_000_000))
    hub.misbehave(step, Silence(times=1))
    killed = worker(hub, file, tmp_path / "memory", way)
    until(lambda: hub.count(step) > 0)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(10) == -signal.SIGKILL
    assert PATH not in hub.files("ann", REPO)
    put(account(hub, "ann", tmp_path, xet=way == "xet"), file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_five_accounts_cost_hardly_more_than_one(hub: Hub, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(BIG))
    names = [f"account{n}" for n in range(5)]
    for name in names:
        put(account(hub, name, tmp_path), file)
    assert sum(sum(hub.received(name).values()) for name in names) < 1.2 * BIG
    assert {hub.sha256(name, REPO, PATH) for name in names} == {file.sha256}


def test_another_host_finds_the_chunks_known_too(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_user("ann")
    file = file_of(tmp_path, random_bytes(BIG))
    put(account(hub, "bob", tmp_path), file)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "other-host"))
    assert worker(hub, file, tmp_path / "memory", "xet").wait(120) == 0
    assert sum(hub.received("ann").values()) < 0.2 * BIG


@dataclass
class Growing:
    """A file that is there up to `ready`."""

    path: Path
    size: int
    ready: int = 0
    step: int = 1_000_000
    ends_at: int | None = None

    def wait(self, position: int, seconds: float) -> int:
        assert seconds > 0
        if self.ends_at is not None and position >= self.ends_at:
            raise Stopped
        self.ready = min(self.size, max(self.ready, position) + self.step)
        return self.ready


@pytest.fixture
def backend(hub: Hub, tmp_path: Path) -> HuggingFaceBackend:
    return account(hub, "ann", tmp_path)


def test_what_is_sent_ahead_need_not_be_sent_again(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(BIG))
    backend.send_ahead(Growing(file.source, file.size), REPO, PATH)
    assert hub.received("ann")["xorb"] >= BIG
    assert hub.files("ann", REPO) == {}
    before = hub.received("ann").copy()
    put(backend, file)
    assert sum((hub.received("ann") - before).values()) < 0.05 * BIG
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_another_process_puts_what_one_has_sent_ahead(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(BIG))
    assert worker(hub, file, tmp_path / "memory", "ahead").wait(120) == 0
    before = hub.received("ann").copy()
    put(backend, file)
    assert sum((hub.received("ann") - before).values()) < 0.05 * BIG


def test_a_download_that_stops_stops_it(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(BIG))
    with pytest.raises(Stopped):
        backend.send_ahead(Growing(file.source, file.size, ends_at=4_000_000), REPO, PATH)
    assert hub.files("ann", REPO) == {}
    put(backend, file)
    assert hub.sha256("ann", REPO, PATH) == file.sha256


def test_one_account_sends_ahead_for_all(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(BIG))
    other = account(hub, "bob", tmp_path)

    class Shared(Growing):
        def wait(self, position: int, seconds: float) -> int:
            other.send_ahead(Growing(self.path, self.size), REPO, PATH)
            return super().wait(position, seconds)

    backend.send_ahead(Shared(file.source, file.size, step=BIG), REPO, PATH)
    assert hub.received("bob")["xorb"] == 0
    put(other, file)
    assert sum(hub.received("bob").values()) < 0.1 * BIG


def test_where_there_is_only_lfs_nothing_is_sent_ahead(hub: Hub, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(100_000))
    account(hub, "ann", tmp_path, xet=False).send_ahead(Growing(file.source, file.size), REPO, PATH)
    assert hub.requests == []


def test_a_refusal_ends_what_is_sent_ahead(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(BIG))
    hub.misbehave("xet-write-token", Refuse(code=403, message="Forbidden"))
    with pytest.raises(StorageAuthError):
        backend.send_ahead(Growing(file.source, file.size), REPO, PATH)


class Stop(Exception):
    pass


@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_a_slow_transfer_stops_soon_when_it_has_to(hub: Hub, tmp_path: Path, way: str) -> None:
    backend, began = account(hub, "ann", tmp_path, xet=way == "xet"), time.monotonic()
    for step in ("xorb", "put"):
        hub.misbehave(step, Slow(bytes_per_second=200_000))

    def stop(_done: int) -> None:
        if hub.count("xorb") + hub.count("put"):
            raise Stop

    with pytest.raises(Stop):
        backend.put([file_of(tmp_path, random_bytes(BIG))], stop)
    assert time.monotonic() - began < 20
    assert PATH not in hub.files("ann", REPO)
