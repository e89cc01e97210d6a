"""One URL plays before, while and after a video is archived, and when its source is gone."""

from __future__ import annotations

from pathlib import Path

import requests

from queue_app.models import VideoQueue
from storage_app.naming import VideoKey
from tests.playback.films import Films
from tests.playback.tab import Tab
from tests.servers.origin import Origin
from tests.servers.site import Site
from tests.worker.conftest import StartWorker, add, finished, in_status


def test_one_url_plays_at_every_stage(
    start_worker: StartWorker, origin: Origin, films: Films, tab: Tab, tmp_path: Path
) -> None:
    source = origin.put("/film.mp4", films.mp4.read_bytes())
    with Site(tmp_path / "site", [origin.host_port]) as site:
        url = site.url(VideoKey(55825, 1, "test", "720p").stream_path())
        job = add(source)
        plays(tab, url, job, "pending")

        throttled = start_worker(MAX_DOWNLOAD_RATE="50000")  # it would need minutes
        in_status(job, "downloading")
        plays(tab, url, job, "downloading")
        throttled.stop()

        start_worker("another")
        assert finished(job).status == "ready"
        asked = origin.count("/film.mp4")
        plays(tab, url, job, "ready")
        assert origin.count("/film.mp4") == asked, "the source was asked for what is archived"
        assert requests.head(url, timeout=30).headers["ETag"]

        origin.__exit__()
        plays(tab, url, job, "ready")


def plays(tab: Tab, url: str, job: VideoQueue, status: str) -> None:
    """From its beginning, and after a seek to its end, while the job is in this status."""
    tab.play(url)
    tab.play_the_end()
    job.refresh_from_db()
    assert job.status == status
