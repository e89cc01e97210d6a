"""`make run`: everything on one machine, in the foreground.

Starts the embedded PostgreSQL (when DATABASE_URL is unset), prepares the database, then runs the web server and one
archive_worker until Ctrl-C or SIGTERM, starting either again should it die. `--demo` runs the demo inside; then URL
in the environment is a video to archive, and ONCE=1 ends everything with the demo's exit code.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from django.core.exceptions import ImproperlyConfigured

from archive_site import env, first_start
from archive_site.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from archive_site.kept_process import BASE_DIR, KeptProcess

SAME_SIGNAL_SECONDS = 1.0


class RunError(Exception):
    """It can't start; the message says why and what to do."""


class Service(KeptProcess):
    """One of the two long-running programs."""

    def __init__(self, name: str, command: list[str], log: Path | None) -> None:
        super().__init__(
            command, output=log, died=lambda status: say(f"The {name} ended with {status}; starting it again.")
        )


class Runner:
    """Starts the parts in order, watches over them, and stops them in the opposite order."""

    def __init__(self, data: Path, port: int, demo: list[str] | None) -> None:
        self._data = data
        self._port = port
        self._demo = demo
        self._postgres: EmbeddedPostgres | None = None
        self._stop = False
        self._hurry = False
        self._signalled_at = 0.0
        self._look_at_postgres_at = 0.0
        self._services: list[Service] = []

    def run(self) -> int:
        """Run until stopped. Returns the exit code: the demo's with ONCE=1, else 0."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        lock = self._lock()
        try:
            self._prepare()
            return self._serve() if not self._stop else 0
        finally:
            self._stop_all()
            os.close(lock)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        """`make` passes on a signal that the terminal or the group has sent us already: that is one and the same."""
        now = time.monotonic()
        if self._stop and now - self._signalled_at > SAME_SIGNAL_SECONDS:
            self._hurry = True
        if not self._stop:
            self._signalled_at = now
        self._stop = True

    def _lock(self) -> int:
        self._data.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._data / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"Reelkeep already runs with {self._data}. Stop it first, or set REELKEEP_DATA to another folder."
            ) from None
        return descriptor

    def _prepare(self) -> None:
        _require_free_port(self._port)
        for path in first_start.ensure_secrets(self._data):
            say(f"Made up {path.name}, kept in {path}")
        if not env.secret("DATABASE_URL", self._data):
            self._postgres = EmbeddedPostgres(self._data)
            self._postgres.start()
            say(f"PostgreSQL runs; its data is in {self._data / 'postgres'}")
        if not self._stop:
            prepared = subprocess.run(_manage("prepare"), cwd=BASE_DIR, check=False)
            if prepared.returncode != 0 and not self._stop:
                raise RunError("The database could not be prepared: see the message above.")

    def _serve(self) -> int:
        folder = self._data / "logs" if self._demo is not None else None
        if folder is not None:
            folder.mkdir(exist_ok=True)
        web = [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            "python:archive_site.gunicorn_conf",
            "archive_site.asgi:application",
        ]
        self._services = [
            Service("web server", web, folder and folder / "web.log"),
            Service("worker", _manage("archive_worker"), folder and folder / "worker.log"),
        ]
        demo: subprocess.Popen[bytes] | None = None
        announced = False
        while not self._stop:
            self._keep_the_database_running()
            for service in self._services:
                service.keep_running()
            if not announced and _answers(self._port):
                announced = True
                say(f"Reelkeep serves on http://localhost:{self._port}/ – the admin is at /admin/. Ctrl-C stops it.")
                if self._demo is not None:
                    demo = subprocess.Popen(_manage("demo", *self._demo), cwd=BASE_DIR, stdin=subprocess.DEVNULL)
            if demo is not None and demo.poll() is not None:
                if env.boolean("ONCE", default=False):
                    return demo.returncode
                demo = None
            time.sleep(0.1)
        if demo is not None:
            demo.terminate()
            demo.wait()
            return 130
        return 0

    def _keep_the_database_running(self) -> None:
        """Start the embedded PostgreSQL again should it have died, on the port that everybody knows."""
        if self._postgres is None or time.monotonic() < self._look_at_postgres_at:
            return
        self._look_at_postgres_at = time.monotonic() + 1.0
        if not self._postgres.is_running():
            say("PostgreSQL ended; starting it again.")
            self._postgres.start()

    def _stop_all(self) -> None:
        for service in self._services:
            service.signal(signal.SIGTERM)
        hurried = False
        while any(service.alive for service in self._services):
            if self._hurry and not hurried:
                hurried = True
                for service in self._services:
                    service.signal(signal.SIGINT)
            time.sleep(0.05)
        if self._postgres is not None:
            self._postgres.stop()
        if self._services:
            say("Stopped.")


def say(line: str) -> None:
    """One line for the person at the terminal."""
    sys.stdout.write(f"reelkeep: {line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m archive_site.run", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="archive two videos made on the spot, or the one at $URL")
    options = parser.parse_args(arguments)
    try:
        data = env.path("REELKEEP_DATA", "./data")
        os.environ["REELKEEP_DATA"] = str(data)  # the children run in another working directory
        demo = _demo_arguments(env.text("URL"), data) if options.demo else None
        return Runner(data, env.integer("PORT", 7860, minimum=1, maximum=65535), demo).run()
    except (RunError, EmbeddedPostgresError, ImproperlyConfigured) as error:
        sys.stderr.write(f"reelkeep: {error}\n")
        return 1


def _demo_arguments(url: str, data: Path) -> list[str]:
    """Room for the demo's own origin and accounts in the environment of everything started from here."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    allowed = [*env.csv("FETCH_ALLOW_HOSTS"), f"127.0.0.1:{port}"]
    os.environ["FETCH_ALLOW_HOSTS"] = ",".join(allowed)
    if not env.secret("ADMIN_PASSWORD", data):
        os.environ["ADMIN_PASSWORD"] = secrets.token_urlsafe(12)  # the demo shows it at its end, if it came to be used
    os.environ.setdefault("LOCAL_STORAGE_PATHS", f"{data / 'storage' / '1'},{data / 'storage' / '2'}")
    return ["--origin-port", str(port), *(["--url", url] if url else [])]


def _manage(*words: str) -> list[str]:
    return [sys.executable, str(BASE_DIR / "manage.py"), *words]


def _require_free_port(port: int) -> None:
    try:
        with socket.create_server(("", port)):
            return
    except OSError as error:
        raise RunError(f"Port {port} can't be used ({error.strerror}). Set PORT to another one.") from error


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
