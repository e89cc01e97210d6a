"""Runs in the namespace: tries every URL by every way of one group.

The product is used as it is in production, without an exception for anything that is here.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import requests

from archive_site.async_http import AsyncFetcher
from archive_site.safe_http import Fetcher, FetchError, Policy, read_all
from queue_app.downloaders import Limits, Progress, Source, download
from queue_app.failures import Failure
from tests.network.entries import FETCHES, FILES, LEAVING, MP4, PAGES, READ, STREAMS, TRACE, TS, Download
from tests.network.hostile import LOCATIONS, PORTS, URLS, numbered
from tests.network.hosts import Inside, Public
from tests.network.names import NameServer
from tests.network.namespace import PUBLIC_4, PUBLIC_6, has_ipv6

_LIMITS = Limits(max_bytes=20_000_000, retry_wait=0.01, page_seconds=12)
_AT_ONCE = 4
# Each way of a download takes so many of the URLs, the next way the next ones.
_A_WAY = 60
# A page is given a few of the URLs; browsers don't load a hundred things of one kind at once.
_A_PAGE = 25


@dataclass(frozen=True)
class Try:
    """What became of one URL on one way."""

    entry: str
    url: str
    end: str
    """The class of the failure, or "fetched"."""
    text: str = ""


def main(group: str) -> dict[str, object]:
    """Set the stage, attack, and see who came.

    In the report: `tries` with the end of each, `visits` that the inside had, `reached` paths of the public server.
    """
    with tempfile.TemporaryDirectory() as folder:
        NameServer()
        web, inside = Public(), Inside(PORTS)
        tries = list(_GROUPS[group](web, Path(folder)))
        return {
            "tries": [asdict(one) for one in tries],
            "visits": inside.visits_so_far(),
            "reached": web.seen,
            "ipv6": has_ipv6(),
        }


def _control(web: Public, folder: Path) -> Iterator[Try]:
    """The same URLs with no guard at all, which must get inside, and harmless ones with it."""
    for number, url in enumerate(URLS):
        attempt = partial(_bare, numbered(url, number))
        yield _ended("requests", url, attempt, requests.RequestException, ValueError)
    for url in (f"http://{PUBLIC_4}/", "http://public.n.test/", f"http://[{PUBLIC_6}]/", "http://public6.n.test/"):
        yield _ended("safe_http", url, partial(_guarded, url), FetchError)
        yield _ended("async_http", url, partial(_guarded_for_viewers, url), FetchError)
    for source in (
        Source(web.put(".mp4", MP4, "video/mp4")),
        STREAMS["segment"](web, web.put(".ts", TS, "video/mp2t")),
    ):
        yield _ended("download", source.url, partial(_download, source, folder / "control"), Failure)


def _bare(url: str) -> None:
    requests.get(url, timeout=3).close()


def _guarded(url: str) -> None:
    with Fetcher(Policy()) as fetcher, closing(fetcher.get(url)) as response:
        read_all(response, 100_000)


def _guarded_for_viewers(url: str) -> None:
    async def fetch() -> None:
        fetcher = AsyncFetcher(Policy())
        try:
            await (await fetcher.open(url)).read(100_000)
        finally:
            await fetcher.close()

    asyncio.run(fetch())


def _fetches(fetch: Callable[[str], None]) -> Callable[[Public, Path], Iterator[Try]]:
    def group(web: Public, _folder: Path) -> Iterator[Try]:
        jobs = [(entry, url) for entry in FETCHES for url in (URLS if entry == "itself" else (*URLS, *LOCATIONS))]

        def attempt(number: int, entry: str, url: str) -> Try:
            start = FETCHES[entry](web, numbered(url, number))
            return _ended(entry, url, partial(fetch, start), FetchError)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(attempt, range(len(jobs)), *zip(*jobs, strict=True))

    return group


def _downloads(entries: dict[str, Download]) -> Callable[[Public, Path], Iterator[Try]]:
    def group(web: Public, folder: Path) -> Iterator[Try]:
        urls = itertools.cycle((*URLS, *LOCATIONS))
        jobs = [(entry, url) for entry in entries for url in itertools.islice(urls, _A_WAY)]

        def attempt(number: int, entry: str, url: str) -> Try:
            source = entries[entry](web, numbered(url, number))
            return _ended(entry, url, partial(_download, source, folder / str(number)), Failure)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(attempt, range(len(jobs)), *zip(*jobs, strict=True))

    return group


def _pages(web: Public, folder: Path) -> Iterator[Try]:
    """Each kind of link is read without a browser on PATH; then the browser, if there is one, sees what is left."""
    urls = itertools.cycle([numbered(url, number) for number, url in enumerate((*URLS, *LOCATIONS))])
    bodies = {entry: body(list(itertools.islice(urls, _A_PAGE))) for entry, body in PAGES.items()}
    path = os.environ.pop("PATH", os.defpath)
    os.environ["PATH"] = ""
    yield from _open_pages(web, folder, bodies)
    os.environ["PATH"] = path
    together = "".join(body for entry, body in bodies.items() if entry not in LEAVING | READ)
    watched = {"all in a browser": together, **{f"{entry} in a browser": bodies[entry] for entry in LEAVING}}
    trace = f'<script>fetch("http://{PUBLIC_4}{TRACE}")</script>'
    yield from _open_pages(web, folder, {entry: trace + body for entry, body in watched.items()})


def _open_pages(web: Public, folder: Path, bodies: dict[str, str]) -> Iterator[Try]:
    def attempt(entry: str) -> Try:
        page = f"<!doctype html><html><head><title>x</title></head><body>{bodies[entry]}</body></html>"
        source = Source(web.put(".html", page))
        return _ended(entry, source.url, partial(_download, source, folder / entry), Failure)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(attempt, bodies)


def _download(source: Source, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    download(source, folder, policy=Policy(), limits=_LIMITS, progress=Progress())


def _ended(entry: str, url: str, attempt: Callable[[], None], *expected: type[Exception]) -> Try:
    try:
        attempt()
    except expected as error:
        return Try(entry, url, type(error).__name__, str(error))
    return Try(entry, url, "fetched")


_GROUPS: dict[str, Callable[[Public, Path], Iterator[Try]]] = {
    "control": _control,
    "fetches": _fetches(_guarded),
    "viewers": _fetches(_guarded_for_viewers),
    "files": _downloads(FILES),
    "streams": _downloads(STREAMS),
    "pages": _pages,
}
