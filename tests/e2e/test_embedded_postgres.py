"""The embedded database against real servers on loopback: racing starters, killed servers, other accounts."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import psycopg
import pytest

from archive_site.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, binaries_folder, read_dsn
from archive_site.postgres_binaries import binaries_for
from archive_site.postgres_cluster import password_and_port
from archive_site.postgres_process import ACCOUNT_VARIABLE, Account

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534
PSQL = """
import sys
from archive_site.embedded_postgres import exec_psql
exec_psql(sys.stdin.read(), sys.argv[1:])
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    EmbeddedPostgres(folder).stop()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    EmbeddedPostgres(folder / "data").stop()
    shutil.rmtree(folder)


def test_a_first_start_makes_a_database_that_answers(data: Path) -> None:
    dsn = EmbeddedPostgres(data).start()
    assert ask(dsn, "SELECT current_database()") == "reelkeep"
    assert ask(dsn, "SHOW data_checksums") == "on"
    assert ask(dsn, "SHOW server_encoding") == "UTF8"
    assert ask(dsn, "SELECT datlocprovider::text || datlocale FROM pg_database") == "bC.UTF-8"
    assert ask(dsn, "SHOW unix_socket_directories") == ""
    assert ask(dsn, "SHOW listen_addresses") == "127.0.0.1"


def test_the_dsn_file_is_for_its_owner_only(data: Path) -> None:
    dsn = EmbeddedPostgres(data).start()
    assert read_dsn(data) == dsn
    assert stat.S_IMODE((data / "postgres/dsn").stat().st_mode) == 0o600


def test_there_is_no_dsn_before_the_first_start(data: Path) -> None:
    assert read_dsn(data) is None


def test_a_second_start_attaches(data: Path) -> None:
    first = EmbeddedPostgres(data).start()
    pid = server_pid(data)
    assert EmbeddedPostgres(data).start() == first
    assert server_pid(data) == pid


def test_the_password_is_neither_in_arguments_nor_environment_nor_log(data: Path) -> None:
    password, _ = password_and_port(EmbeddedPostgres(data).start())
    server = psutil.Process(server_pid(data))
    assert password not in " ".join(server.cmdline())
    assert password not in str(server.environ())
    assert password not in log(data)


def test_a_password_is_required(data: Path) -> None:
    _, port = password_and_port(EmbeddedPostgres(data).start())
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=port, user="reelkeep", password="guess", dbname="reelkeep")


def test_values_of_a_failing_statement_stay_out_of_the_log(data: Path) -> None:
    dsn = EmbeddedPostgres(data).start()
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        ask(dsn, "SELECT 1 WHERE 'hf_token_value' = '' OR 'x'::int = 1")
    assert "hf_token_value" not in log(data)


def test_the_server_has_its_own_session_and_does_not_hold_the_lock(data: Path) -> None:
    EmbeddedPostgres(data).start()
    assert os.getsid(server_pid(data)) == server_pid(data)
    with (data / "postgres/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_stopping_is_idempotent_and_works_for_whoever_attached(data: Path) -> None:
    starter, other = EmbeddedPostgres(data), EmbeddedPostgres(data)
    other.stop()
    starter.start()
    other.stop()
    other.stop()
    starter.stop()
    assert not starter.is_running()


def test_a_stopped_server_that_we_started_leaves_no_zombie(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        pid = server_pid(data)
        assert server.is_running()
    assert not psutil.pid_exists(pid)


def test_what_was_committed_survives_stop_and_start(data: Path) -> None:
    with EmbeddedPostgres(data):
        make_row(data)
    assert ask(EmbeddedPostgres(data).start(), "SELECT title FROM film") == "Metropolis"


def test_it_starts_again_after_its_server_was_killed(data: Path) -> None:
    EmbeddedPostgres(data).start()
    make_row(data)
    os.kill(server_pid(data), signal.SIGKILL)
    assert ask(EmbeddedPostgres(data).start(), "SELECT title FROM film") == "Metropolis"


def test_it_starts_again_while_a_busy_query_outlives_the_killed_server(data: Path) -> None:
    dsn = EmbeddedPostgres(data).start()
    busy = psycopg.connect(dsn)
    backend = psutil.Process(busy.info.backend_pid)
    running = threading.Thread(target=run_for_long, args=(busy,), daemon=True)
    running.start()
    until(lambda: ask(dsn, f"SELECT state FROM pg_stat_activity WHERE pid = {backend.pid}") == "active")
    os.kill(server_pid(data), signal.SIGKILL)
    assert ask(EmbeddedPostgres(data).start(), "SELECT 'up'") == "up"
    running.join(timeout=30)
    assert not running.is_alive()
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("name", ["sleep", "postgres"])
def test_it_starts_although_another_process_has_the_stale_pid(data: Path, open_folder: Path, name: str) -> None:
    EmbeddedPostgres(data).start()
    os.kill(server_pid(data), signal.SIGKILL)
    program = shutil.copy(shutil.which("sleep") or "", open_folder / name)
    owner = (data / "postgres/cluster").stat()
    # PostgreSQL minds only processes of its own account.
    account = Account(owner.st_uid, owner.st_gid) if os.geteuid() == 0 else Account()
    stranger = account.popen([program, "300"], folder=Path("/"), stdout=subprocess.DEVNULL)
    try:
        assert psutil.Process(stranger.pid).name() == name
        rewrite_pid(data, stranger.pid)
        assert ask(EmbeddedPostgres(data).start(), "SELECT 'up'") == "up"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_eight_racing_starters_get_one_server(data: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(8)
    answers = context.Queue()

    def race() -> None:
        gate.wait(30)
        answers.put((EmbeddedPostgres(data).start(), server_pid(data)))

    racers = [context.Process(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    results = {answers.get(timeout=60) for _ in racers}
    for racer in racers:
        racer.join(30)
    assert len(results) == 1
    assert [racer.exitcode for racer in racers] == [0] * 8


def test_a_start_waits_for_a_server_that_is_shutting_down(data: Path) -> None:
    dsn = EmbeddedPostgres(data).start()
    first = server_pid(data)
    holder = psycopg.connect(dsn)
    os.kill(first, signal.SIGTERM)  # waits for its clients
    until(lambda: "shutting down" in refusal(dsn))
    starting = threading.Thread(target=EmbeddedPostgres(data).start)
    starting.start()
    starting.join(timeout=0.2)
    assert starting.is_alive()
    holder.close()
    starting.join(timeout=30)
    assert ask(read_dsn(data) or "", "SELECT 'up'") == "up"
    assert server_pid(data) != first


def test_a_taken_port_is_replaced_and_the_password_kept(data: Path) -> None:
    with EmbeddedPostgres(data):
        password, port = password_and_port(read_dsn(data) or "")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        again = EmbeddedPostgres(data).start()
        assert password_and_port(again)[0] == password
        assert password_and_port(again)[1] != port
        assert read_dsn(data) == again


def test_a_half_made_cluster_is_no_obstacle(data: Path) -> None:
    half = data / "postgres/cluster.new-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert ask(EmbeddedPostgres(data).start(), "SELECT 'up'") == "up"
    assert not half.exists()


def test_a_lost_dsn_file_leads_to_a_new_password(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        make_row(data)
        old = read_dsn(data)
        server.stop()
        (data / "postgres/dsn").unlink()
        new = server.start()
        assert new != old
        assert ask(new, "SELECT title FROM film") == "Metropolis"


def test_a_dsn_file_lost_beside_a_running_server_is_reported(data: Path) -> None:
    EmbeddedPostgres(data).start()
    (data / "postgres/dsn").unlink()
    with pytest.raises(EmbeddedPostgresError, match="missing while the server runs"):
        EmbeddedPostgres(data).start()


def test_a_wrong_password_is_reported_at_once_and_without_it(data: Path) -> None:
    EmbeddedPostgres(data).start()
    file = data / "postgres/dsn"
    right, _ = password_and_port(read_dsn(data) or "")
    file.write_text(file.read_text().replace(right, "Not-the-password"))
    with pytest.raises(EmbeddedPostgresError, match="refuses the password") as caught:
        EmbeddedPostgres(data).start()
    assert "Not-the-password" not in str(caught.value)


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(data: Path) -> None:
    with EmbeddedPostgres(data):
        pass
    (data / "postgres/cluster/postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        EmbeddedPostgres(data).start()


def test_another_major_version_is_refused(data: Path) -> None:
    with EmbeddedPostgres(data):
        pass
    (data / "postgres/cluster/PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match=r"version 16, but Reelkeep carries 18.*pg_dump"):
        EmbeddedPostgres(data).start()


def test_a_large_log_is_put_aside(data: Path) -> None:
    with EmbeddedPostgres(data):
        pass
    with (data / "postgres/postgres.log").open("r+b") as file:
        file.truncate(11 * 1024 * 1024)
    EmbeddedPostgres(data).start()
    assert (data / "postgres/postgres.log").stat().st_size < 1024 * 1024
    assert (data / "postgres/postgres.log.1").stat().st_size == 11 * 1024 * 1024


def test_a_folder_in_the_way_of_the_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(EmbeddedPostgresError, match="can't be used"):
        EmbeddedPostgres(tmp_path / "data").start()


def test_psql_connects_without_the_password_in_its_arguments(data: Path) -> None:
    dsn = EmbeddedPostgres(data).start()
    command = [sys.executable, "-c", PSQL, "-XAtc", "SELECT current_user || '@' || current_database()"]
    done = subprocess.run(command, input=dsn, capture_output=True, text=True, check=True)
    assert done.stdout == "reelkeep@reelkeep\n"


@as_root
def test_root_runs_it_as_an_unprivileged_account_below_closed_folders(data: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    EmbeddedPostgres(data).start()
    assert psutil.Process(server_pid(data)).uids().real == (data / "postgres/cluster").stat().st_uid != 0
    assert (data / "postgres").stat().st_uid == 0


@as_root
def test_root_may_name_the_account(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCOUNT_VARIABLE, "nobody")
    EmbeddedPostgres(data).start()
    assert psutil.Process(server_pid(data)).uids().real == NOBODY


@as_root
@pytest.mark.parametrize(("name", "said"), [("no-such-account", "no account"), ("root", "refuses to run as root")])
def test_an_unusable_account_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setenv(ACCOUNT_VARIABLE, name)
    with pytest.raises(EmbeddedPostgresError, match=said):
        EmbeddedPostgres(data).start()


@as_root
def test_root_in_somebodys_folder_leaves_it_usable_to_them(open_folder: Path) -> None:
    data = open_folder / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    with EmbeddedPostgres(data):
        assert psutil.Process(server_pid(data)).uids().real == NOBODY
    assert {path.stat().st_uid for path in data.rglob("*")} == {NOBODY}
    assert as_nobody(start_and_stop, data) == "started"
    assert ask(EmbeddedPostgres(data).start(), "SELECT 'up'") == "up"
    assert {path.stat().st_uid for path in data.rglob("*")} == {NOBODY}


@as_root
def test_an_ordinary_account_is_told_that_the_database_is_roots(open_folder: Path) -> None:
    data = open_folder / "data"
    with EmbeddedPostgres(data):
        said = as_nobody(start_and_stop, data)
    assert "belongs to root, but this is nobody" in said
    assert "chown -R nobody" in said


@as_root
def test_an_ordinary_account_is_told_that_it_may_not_write(open_folder: Path) -> None:
    assert "can't be used by nobody" in as_nobody(start_and_stop, open_folder / "data")


@as_root
def test_a_cluster_restored_as_root_is_usable(data: Path) -> None:
    with EmbeddedPostgres(data):
        make_row(data)
    cluster = data / "postgres/cluster"
    for path in (cluster, *cluster.rglob("*")):
        os.chown(path, 0, 0)
    cluster.chmod(0o755)
    assert ask(EmbeddedPostgres(data).start(), "SELECT title FROM film") == "Metropolis"


@as_root
def test_programs_below_a_closed_folder_are_copied_once(closed_programs: Path, open_folder: Path) -> None:
    account = Account(NOBODY, NOBODY)
    cache = open_folder / "cache"
    copied = binaries_for(account, source=closed_programs, caches=[cache])
    inode = copied.stat().st_ino
    assert copied.is_relative_to(cache)
    assert not (copied.parent / "include").exists()
    assert binaries_for(account, source=closed_programs, caches=[cache]).stat().st_ino == inode
    assert list(cache.iterdir()) == [copied.parents[2]]


@as_root
def test_a_planted_copy_of_the_programs_is_refused(closed_programs: Path, open_folder: Path) -> None:
    account, cache = Account(NOBODY, NOBODY), open_folder / "cache"
    copied = binaries_for(account, source=closed_programs, caches=[cache]).parents[2]
    os.chown(copied, NOBODY, NOBODY)
    with pytest.raises(EmbeddedPostgresError, match="can't be trusted"):
        binaries_for(account, source=closed_programs, caches=[cache])
    os.chown(copied, 0, 0)
    os.chown(cache, NOBODY, NOBODY)
    with pytest.raises(EmbeddedPostgresError, match="can't be trusted"):
        binaries_for(account, source=closed_programs, caches=[cache])


@as_root
def test_an_unwritable_cache_is_passed_over(closed_programs: Path, open_folder: Path) -> None:
    (open_folder / "file").write_text("")
    caches = [open_folder / "file/cache", open_folder / "second"]
    copied = binaries_for(Account(NOBODY, NOBODY), source=closed_programs, caches=caches)
    assert copied.is_relative_to(open_folder / "second")


@pytest.fixture
def closed_programs(tmp_path: Path) -> Path:
    """The wheel's programs where only root can reach them."""
    original = binaries_folder()
    site = tmp_path / "site-packages"
    package = original.parents[1]
    shutil.copytree(original.parent, site / package.name / original.parent.name, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), site / f"{package.name}.libs")
    tmp_path.chmod(0o700)
    return site / package.name / original.parent.name / "bin"


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def refusal(dsn: str) -> str:
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def make_row(data: Path) -> None:
    with psycopg.connect(read_dsn(data) or "") as connection:
        connection.execute("CREATE TABLE film AS SELECT 'Metropolis' AS title")


def run_for_long(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT count(*) FROM generate_series(1, 100000000000) AS n WHERE n % 7 = 8")


def server_pid(data: Path) -> int:
    return int((data / "postgres/cluster/postmaster.pid").read_text().split("\n")[0])


def rewrite_pid(data: Path, pid: int) -> None:
    file = data / "postgres/cluster/postmaster.pid"
    file.write_text("\n".join([str(pid), *file.read_text().split("\n")[1:]]))


def log(data: Path) -> str:
    return (data / "postgres/postgres.log").read_text()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def start_and_stop(data: Path) -> str:
    try:
        with EmbeddedPostgres(data):
            return "started"
    except EmbeddedPostgresError as error:
        return str(error)


def as_nobody(function: Callable[[Path], str], data: Path) -> str:
    """What the function returns in a process of an ordinary account, which has an installation of its own."""
    installed = binaries_for(Account(NOBODY, NOBODY)).parents[2]
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    process = context.Process(target=_drop_and_call, args=(theirs, function, data, installed))
    process.start()
    theirs.close()
    assert mine.poll(60), "no answer in time"
    answer = str(mine.recv())
    process.join(10)
    return answer


def _drop_and_call(answers: Connection, function: Callable[[Path], str], data: Path, installed: Path) -> None:
    sys.path.insert(0, str(installed))  # ours may lie below a folder that is closed to them, as a fresh clone does
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    answers.send(function(data))
