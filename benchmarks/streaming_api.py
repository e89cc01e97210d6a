"""`python -m benchmarks.streaming_api`: the streaming API, warm, at a fixed rate, through gunicorn and PostgreSQL.

An open loop: each request begins when it is due, whether or not those before are answered, and its time counts from
then. What is asked of is a work with four sources of each episode, two of them archived. The same is done with requests
that are refused at once (400), which shows what is the machine's and the server's share of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

EPISODES = 12
WORK = 55825


def prepare() -> None:
    """A work whose sources are resolved, and half of them archived. Django is set up."""
    from datetime import timedelta

    from django.core.management import call_command
    from django.utils.timezone import now

    from queue_app.models import ResolvedSource
    from queue_app.sources.registering import put_sources
    from queue_app.sources.wanted import Wanted
    from storage_app.naming import VideoKey
    from tests.archive import archive

    call_command("migrate", verbosity=0)
    sources = [
        {"episode": episode, "provider": "animasu", "resolution": f"{height}p", "url": f"https://p.example/{episode}/{height}"}
        for episode in range(EPISODES)
        for height in (360, 480, 720, 1080)
    ]  # fmt: skip
    put_sources(WORK, "A title", sources)
    moment = now()
    for source in sources:
        wanted = Wanted(str(source["url"]), str(source["resolution"]))
        ResolvedSource.objects.update_or_create(
            key=wanted.key,
            defaults={
                "url": wanted.url, "url_resolved": f"{wanted.url}.m3u8", "resolver": "direct", "resolved_at": moment,
                "expires_at": moment + timedelta(minutes=20),
            },
        )  # fmt: skip
        if source["resolution"] in {"360p", "480p"}:
            key = VideoKey(WORK, int(str(source["episode"])), "animasu", str(source["resolution"]))
            archive(key, [], f"{key}".encode())


async def load(base: str, work: object, rate: int, seconds: int, connections: int) -> list[float]:
    """Milliseconds that each request for `work` took."""
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def one(number: int, due: float) -> None:
            async with session.get(f"{base}/api/v1/streaming/{work}/{number % EPISODES}") as answer:
                text = await answer.text()
                if answer.status != (200 if work == WORK else 400):
                    raise SystemExit(f"{answer.status}: {text}")
            took.append((time.perf_counter() - due) * 1000)

        begun, tasks = time.perf_counter(), []
        for number in range(rate * seconds):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(number, due)))
        await asyncio.gather(*tasks)
    return took


def cpu_seconds(pid: int) -> float:
    """Of a process and all that it has started and that still run."""
    parent = psutil.Process(pid)
    times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def measure(name: str, work: object, base: str, pids: list[int], options: argparse.Namespace) -> None:
    """Prints the median and the 99th percentile, and CPU for each request."""
    before = [cpu_seconds(pid) for pid in pids]
    took = asyncio.run(load(base, work, options.rate, options.seconds, options.connections))
    web, database = (1000 * (cpu_seconds(pid) - spent) / len(took) for pid, spent in zip(pids, before, strict=True))
    percentiles = statistics.quantiles(took, n=1000)
    sys.stdout.write(
        f"{name}: {len(took)} requests at {options.rate}/s, p50 {statistics.median(took):.1f} ms, "
        f"p95 {percentiles[949]:.1f}, p99 {percentiles[989]:.1f}, most {max(took):.1f}; "
        f"CPU a request: web {web:.2f} ms, PostgreSQL {database:.2f} ms\n"
    )


def main() -> None:
    """Starts everything, in a folder that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--connections", type=int, default=50)
    options = parser.parse_args()
    from archive_site.embedded_postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="reelkeep-streaming-") as folder, socket.socket() as free:
        Path(folder).chmod(0o755)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        database = EmbeddedPostgres(Path(folder))
        os.environ.update(
            REELKEEP_DATA=folder, SECRET_KEY="benchmark", HF_FILE_SALT="benchmark", PORT=str(port), BIND="127.0.0.1",
            DJANGO_SETTINGS_MODULE="archive_site.settings", DATABASE_URL=database.start(), LOG_LEVEL="WARNING",
        )  # fmt: skip
        import django

        django.setup()
        prepare()
        command = ["-m", "gunicorn", "-c", "python:archive_site.gunicorn_conf", "archive_site.asgi:application"]
        server = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            base = f"http://127.0.0.1:{port}"
            asyncio.run(load(base, WORK, 50, 3, options.connections))
            pids = [server.pid, int(next(Path(folder).rglob("postmaster.pid")).read_text().split()[0])]
            measure("refused", "x", base, pids, options)
            measure("answered", WORK, base, pids, options)
        finally:
            server.terminate()
            server.wait(20)
            database.stop()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("The web server didn't start.")


if __name__ == "__main__":
    main()
