"""One URL plays before, while and after a video is archived, and when its source is gone."""

from __future__ import annotations

import requests

from queue_app.models import VideoQueue
from storage_app.naming import VideoKey
from tests.playback.conftest import Place
from tests.playback.films import Films
from tests.playback.tab import Tab
from tests.servers.origin import Origin
from tests.worker.conftest import StartWorker, add, eventually, finished, in_status


def test_one_url_plays_at_every_stage(
    start_worker: StartWorker, place: Place, cinema: Origin, films: Films, tab: Tab
) -> None:
    url = place.url(key(1).stream_path())
    job = add(cinema.url(f"/{films.mp4.name}"))
    plays(tab, url, job, "pending")

    throttled = start_worker(MAX_DOWNLOAD_RATE="50000", **may_fetch(cinema))  # it would need minutes
    in_status(job, "downloading")
    plays(tab, url, job, "downloading")
    throttled.stop()

    start_worker("another", **may_fetch(cinema))
    assert finished(job).status == "ready"
    plays(tab, url, job, "ready")

    eventually(lambda: requests.head(url, timeout=30).headers.get("ETag"))  # the Worker looks anew after a while
    asked = len(cinema.requests)
    plays(tab, url, job, "ready")
    assert len(cinema.requests) == asked, "the source was asked for what is archived"
    cinema.__exit__()
    plays(tab, url, job, "ready")


def test_archived_streams_play_from_the_same_url(
    start_worker: StartWorker, place: Place, cinema: Origin, films: Films, tab: Tab
) -> None:
    streams = (films.ladder, films.encrypted, films.byte_ranges)
    jobs = [
        add(cinema.url(f"/{stream.relative_to(cinema.folder)}"), episode)
        for episode, stream in enumerate(streams, start=1)
    ]
    start_worker(**may_fetch(cinema))
    assert [finished(job).status for job in jobs] == ["ready"] * 3
    cinema.__exit__()
    for job in jobs:
        plays(tab, place.url(key(job.episode).stream_path()), job, "ready")


def key(episode: int) -> VideoKey:
    """Of the jobs that `add` makes."""
    return VideoKey(55825, episode, "test", "720p")


def may_fetch(origin: Origin) -> dict[str, str]:
    """A worker's environment."""
    return {"FETCH_ALLOW_HOSTS": "{}:{}".format(*origin.host_port)}


def plays(tab: Tab, url: str, job: VideoQueue, status: str) -> None:
    """From its beginning, and after a seek to its end, while the job is in this status."""
    tab.play(url)
    tab.play_the_end()
    job.refresh_from_db()
    assert job.status == status
