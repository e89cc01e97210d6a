"""`manage.py demo`: the main job on real input, run by `make demo` beside a running instance."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from queue_app.demo import videos
from queue_app.demo.compare import Verdict, compare
from queue_app.demo.origin import Origin
from queue_app.models import VideoQueue
from queue_app.states import VideoStatus
from storage_app.backends import backend_for
from storage_app.models import VideoStore

BYTES_PER_SECOND = 2_500_000
GIVE_UP_SECONDS = 600
NO_JOB = UUID(int=0)
END = {VideoStatus.READY, VideoStatus.FAILED, VideoStatus.CANCELLED}


@dataclass
class Case:
    """One video of the demo: where it is, how it is keyed, and what to hold the result against."""

    name: str
    url: str
    provider: str
    source_file: Path | None = None
    source_stream: Path | None = None
    job_id: UUID = NO_JOB
    seconds: float = 0.0
    most_bytes: int = 0


class Command(BaseCommand):
    """Enqueues over HTTP, watches the queue, plays back over HTTP, compares, and says what it saw."""

    help = "Archive two videos made on the spot (or one URL), play them back and compare."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where the demo's own origin listens, and what to archive instead of its videos."""
        parser.add_argument("--origin-port", type=int, required=True)
        parser.add_argument("--url", default="")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the demo; exits 1 when anything differs or fails."""
        self.console = Console()
        self.base = f"http://127.0.0.1:{settings.PORT}"
        work = int(time.time())  # a work of its own, so that every demo archives anew
        with ExitStack() as stack:
            cases = (
                [Case("your video", options["url"], "url")]
                if options["url"]
                else self._own_cases(stack, options["origin_port"])
            )
            for episode, case in enumerate(cases, start=1):
                case.job_id = self._trigger(case, work, episode)
            self._watch(cases)
            ok = self._report(cases)
        if not ok:
            sys.exit(1)

    def _own_cases(self, stack: ExitStack, port: int) -> list[Case]:
        folder = settings.REELKEEP_DATA / "demo"
        with self.console.status("Making two videos of 20 seconds…"):
            videos.make_videos(folder)
        origin = stack.enter_context(Origin(folder, port, BYTES_PER_SECOND))
        return [
            Case("MP4", f"{origin.base_url}/{videos.MP4}", "demo-mp4", source_file=folder / videos.MP4),
            Case("HLS", f"{origin.base_url}/{videos.MASTER}", "demo-hls", source_stream=folder / videos.WHOLE_STREAM),
        ]

    def _trigger(self, case: Case, work: int, episode: int) -> UUID:
        body = {"mal_id": work, "episode": episode, "provider": case.provider, "video_url": case.url}
        response = requests.post(
            f"{self.base}/trigger",
            json=body,
            headers={"Authorization": f"Bearer {settings.TRIGGER_TOKEN}"},
            timeout=30,
        )
        if response.status_code != 202:
            raise CommandError(f"POST /trigger answered {response.status_code}: {response.text}")
        return UUID(response.json()["id"])

    def _watch(self, cases: list[Case]) -> None:
        """Progress bars until every job has ended."""
        columns = (TextColumn("{task.description:24}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        started = time.monotonic()
        with Progress(*columns, console=self.console) as progress:
            bars: dict[UUID, TaskID] = {case.job_id: progress.add_task(case.name, total=None) for case in cases}
            waiting = list(cases)
            while waiting:
                if time.monotonic() - started > GIVE_UP_SECONDS:
                    raise CommandError(f"Not done after {GIVE_UP_SECONDS} s: see {settings.REELKEEP_DATA / 'logs'}")
                for job in VideoQueue.objects.filter(id__in=list(bars)):
                    case = next(case for case in cases if case.job_id == job.id)
                    text = f"{case.name}: {job.stage or job.status}"
                    case.most_bytes = max(case.most_bytes, job.bytes_done)  # each stage counts from 0
                    ended = job.status in END
                    done, total = (case.most_bytes,) * 2 if ended else (job.bytes_done, job.bytes_total)
                    progress.update(bars[job.id], description=text, completed=done, total=total)
                    if ended and case in waiting:
                        waiting.remove(case)
                        case.seconds = time.monotonic() - started
                        if not self.console.is_terminal:
                            self.console.print(f"{case.name}: {job.status} after {case.seconds:.1f} s")
                time.sleep(0.1)

    def _report(self, cases: list[Case]) -> bool:
        table = Table(title="What was archived", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        results = [self._result(case, table) for case in cases]
        self.console.print(table)
        self.console.print(f"Admin: {settings.PUBLIC_URL}/admin/ – log in as {_login()}")
        return all(results)

    def _result(self, case: Case, table: Table) -> bool:
        job = VideoQueue.objects.get(id=case.job_id)
        if job.status != VideoStatus.READY:
            table.add_row(case.name, f"[red]{job.status}: {job.error_message}", end_section=True)
            return False
        store = VideoStore.objects.select_related("stored_file").get(
            mal_id=job.mal_id, episode=job.episode, provider=job.provider, resolution=job.resolution
        )
        file = store.stored_file
        if file is None:
            raise CommandError(f"{store} has no stored file.")
        local_url = store.stream_url.replace(settings.PUBLIC_URL, self.base, 1)
        verdict = compare(
            local_url, file.sha256, file.size, source_file=case.source_file, source_stream=case.source_stream
        )
        accounts = [replica.account for replica in file.replicas.select_related("account").order_by("account")]
        for account in accounts:
            found = backend_for(account).stat(file.repo, file.path)
            verdict.note(
                f"the copy on {account.username}", equal=(found.sha256, found.size) == (file.sha256, file.size)
            )
        table.add_row(case.name, f"{file.size:,} bytes in {case.seconds:.1f} s")
        table.add_row("sha256", file.sha256)
        table.add_row("copies", ", ".join(account.username for account in accounts))
        table.add_row("play it", store.stream_url)
        table.add_row("equal", _words(verdict), end_section=True)
        return not verdict.differences


def _login() -> str:
    """Who may log in, with the password if it is the one of this demo's environment."""
    user = get_user_model().objects.filter(username=settings.ADMIN_USERNAME).first()
    if user is not None and settings.ADMIN_PASSWORD and user.check_password(settings.ADMIN_PASSWORD):
        return f"{settings.ADMIN_USERNAME}, password {settings.ADMIN_PASSWORD}"
    return f"{settings.ADMIN_USERNAME} with the password that was set at the first start"


def _words(verdict: Verdict) -> str:
    if verdict.differences:
        return f"[red]differs in: {', '.join(verdict.differences)}"
    return f"[green]yes: {', '.join(verdict.checks)}"
