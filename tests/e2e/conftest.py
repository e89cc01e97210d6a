"""`make run`, as a person would start it: own data folder, own port, nothing configured."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
from django.conf import settings

from archive_site.embedded_postgres import EmbeddedPostgres
from archive_site.process_tree import kill_trees

OURS = ("DATABASE_URL", "SECRET_KEY", "HF_FILE_SALT", "TRIGGER_TOKEN", "REELKEEP_DATA")


@dataclass
class Instance:
    """A running Reelkeep."""

    process: subprocess.Popen[bytes]
    data: Path
    port: int
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        """What it has said so far."""
        return (self.data.parent / f"{self.data.name}.out").read_text(encoding="utf-8")

    def wait_until_it_serves(self) -> None:
        """Until /health says that the database and a worker are there."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if requests.get(f"{self.url}/health", timeout=2).json().get("worker_running"):
                    return
            except (requests.RequestException, ValueError):
                pass
            time.sleep(0.1)
        raise AssertionError(self.output())

    def secret(self, name: str) -> str:
        """One that it made up."""
        return (self.data / "secrets" / name).read_text(encoding="utf-8")

    def tree(self) -> list[psutil.Process]:
        """Its processes, the database server's among them."""
        main = psutil.Process(self.process.pid)
        server = int((self.data / "postgres/cluster/postmaster.pid").read_text().split()[0])
        return [main, *main.children(recursive=True), *([psutil.Process(server)] if psutil.pid_exists(server) else [])]

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A manage.py command beside it."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=settings.BASE_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


StartInstance = Callable[..., Instance]


def bare_environment(data: Path, port: int, **more: str) -> dict[str, str]:
    """The environment of somebody who has configured nothing but the port and the folder."""
    clean = {name: value for name, value in os.environ.items() if name not in OURS}
    return clean | {"REELKEEP_DATA": str(data), "PORT": str(port)} | more


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def start_instance(tmp_path: Path) -> Iterator[StartInstance]:
    """Starts `python -m archive_site.run`; the same `data` name again is the same installation again."""
    started: list[Instance] = []

    def start(*words: str, data: str = "data", **environment: str) -> Instance:
        folder, port = tmp_path / data, free_port()
        variables = bare_environment(folder, port, **environment)
        with (tmp_path / f"{data}.out").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "archive_site.run", *words],
                cwd=settings.BASE_DIR,
                env=variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        started.append(Instance(process, folder, port, variables))
        return started[-1]

    yield start
    for instance in started:
        instance.process.send_signal(signal.SIGTERM)
    for instance in started:
        try:
            instance.process.wait(30)
        except subprocess.TimeoutExpired:
            kill_trees([instance.process.pid])
        EmbeddedPostgres(instance.data).stop()
