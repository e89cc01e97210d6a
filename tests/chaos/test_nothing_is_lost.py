"""Nothing lost, nothing done twice, whatever is killed (DESIGN, invariant 3).

`make chaos` runs it for minutes; without CHAOS_MINUTES it is the short form that belongs to `make test`. CHAOS_SEED
repeats the choices of an earlier run.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from tests.chaos.database import Database
from tests.chaos.host import Host
from tests.chaos.library import Library
from tests.chaos.monkey import Monkey
from tests.chaos.verdict import Verdict, settled
from tests.environment import HF_FILE_SALT
from tests.servers.origin import Origin

SECONDS = 60 * float(os.environ["CHAOS_MINUTES"]) if "CHAOS_MINUTES" in os.environ else 60.0
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
VIDEOS = 200
SETTLE_SECONDS = 300.0
PAUSE = (0.3, 2.0)
HURRY = "UPDATE video_queue SET not_before = NULL WHERE not_before IS NOT NULL"


@pytest.fixture
def accounts(database: Database, tmp_path: Path) -> list[Path]:
    """Two folders as storage accounts."""
    folders = [tmp_path / "account1", tmp_path / "account2"]
    for index, folder in enumerate(folders, start=1):
        database.ask(
            "INSERT INTO storage_account (index, kind, username, root) VALUES (%s, 'local', %s, %s)"
            " ON CONFLICT DO NOTHING",
            index,
            folder.name,
            str(folder),
        )
    return folders


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "database") as database:
        yield database


@pytest.fixture
def hosts(database: Database, origin: Origin, tmp_path: Path) -> Iterator[list[Host]]:
    """Three, started; whatever of them still lives at the end is killed."""
    environment = {
        "DATABASE_URL": database.url,
        "FETCH_ALLOW_HOSTS": "{}:{}".format(*origin.host_port),
        "HF_FILE_SALT": HF_FILE_SALT,
        "PUBLIC_URL": "https://archive.example",
        "SHUTDOWN_GRACE": "3",
        "LEASE_SECONDS": "5",
        "POLL_INTERVAL": "1000",
        "MAX_CONCURRENT": "3",
    }
    hosts = [Host(name, tmp_path, environment) for name in ("ann", "bob", "eve")]
    with ExitStack() as stack:
        for host in hosts:
            stack.callback(_end, host)
            host.start()
        yield hosts


@pytest.mark.timeout(SECONDS + SETTLE_SECONDS + 200)
def test_nothing_is_lost_and_nothing_done_twice(
    hosts: list[Host],
    database: Database,
    origin: Origin,
    accounts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\nchaos for {SECONDS:.0f} s, CHAOS_SEED={SEED}\n")
    chance = random.Random(SEED)
    library = Library(origin, tmp_path, VIDEOS, chance)
    monkey = Monkey(hosts, database, chance)
    _rage(monkey, library, database, chance)
    _settle(monkey, database, hosts)
    for host in hosts:
        host.stop()
    (tmp_path / "journal.txt").write_text("\n".join(monkey.journal), encoding="utf-8")
    complaints = Verdict(database, library, accounts, hosts).complaints()
    with capsys.disabled():
        sys.stdout.write(f"{len(monkey.journal)} pranks, {len(complaints)} complaints\n")
    story = "\n".join([f"CHAOS_SEED={SEED}", *complaints, *monkey.journal])
    assert not complaints, story


def _rage(monkey: Monkey, library: Library, database: Database, chance: random.Random) -> None:
    """Until the time is over; the last videos come shortly before that."""
    pause = threading.Event()
    start = time.monotonic()
    while (done := (time.monotonic() - start) / SECONDS) < 1:
        library.enqueue(database, share=min(1.0, done / 0.8))
        monkey.disturb_the_database(done=done)
        monkey.play()
        pause.wait(chance.uniform(*PAUSE))
    library.enqueue(database, share=1.0)


def _settle(monkey: Monkey, database: Database, hosts: list[Host]) -> None:
    """Until all is ready, with nobody waiting for a retry's time; or until patience ends: the verdict tells what."""
    pause = threading.Event()
    deadline = time.monotonic() + SETTLE_SECONDS
    monkey.go_home()
    while not settled(database, VIDEOS, hosts) and time.monotonic() < deadline:
        database.ask(HURRY)
        monkey.look_after()
        pause.wait(0.3)


def _end(host: Host) -> None:
    for process in host.ever_started():
        with suppress(psutil.NoSuchProcess):
            process.kill()
