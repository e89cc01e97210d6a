"""How long URLs are good that an account has signed, and when they are asked for anew."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage_app.backends.base import SignedUrl, StorageUnavailableError
from storage_app.backends.hf_signed import UNTOLD_SECONDS, end_of
from storage_app.playback.remote_links import Links

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("Expires=1800003600&Signature=x&Key-Pair-Id=y", 1_800_003_600.0),
        ("user=ann&expires=1800000005", 1_800_000_005.0),
        ("X-Amz-Date=20270115T080000Z&X-Amz-Expires=900", 1_800_000_900.0),
        ("X-Amz-Date=yesterday&X-Amz-Expires=900", NOW + UNTOLD_SECONDS),
        ("Expires=soon", NOW + UNTOLD_SECONDS),
        ("", NOW + UNTOLD_SECONDS),
    ],
)
def test_a_url_tells_its_end_in_its_query(query: str, end: float) -> None:
    assert end_of(f"https://cdn.example/f?{query}", NOW) == end


def ask_many(links: Links, count: int, threads: ThreadPoolExecutor, answers: list[SignedUrl | Exception]) -> list[str]:
    """The URLs that so many viewers get who come at once; `answers` are used up, one for each question."""

    def ask() -> SignedUrl:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def all_of_them() -> list[str]:
        found = await asyncio.gather(*(links.of("copy", ask, threads) for _ in range(count)), return_exceptions=True)
        return [one.url if isinstance(one, SignedUrl) else str(one) for one in found]

    return asyncio.run(all_of_them())


def test_many_viewers_ask_once_and_a_failure_is_not_kept() -> None:
    links = Links()
    answers: list[SignedUrl | Exception] = [StorageUnavailableError("down"), SignedUrl("https://a", time.time() + 600)]
    with ThreadPoolExecutor(2) as threads:
        gate = threading.Event()
        for _ in range(2):
            threads.submit(gate.wait, 30)
        timer = threading.Timer(0.2, gate.set)
        timer.start()
        assert ask_many(links, 20, threads, answers) == ["down"] * 20
        assert ask_many(links, 20, threads, answers) == ["https://a"] * 20
        assert ask_many(links, 1, threads, answers) == ["https://a"]
    assert answers == []


def test_what_is_about_to_end_or_was_refused_is_asked_for_anew() -> None:
    ends = [time.time() - 1, time.time() + 600, time.time() + 600]
    answers: list[SignedUrl | Exception] = [SignedUrl(f"https://{n}", end) for n, end in enumerate(ends)]
    second = answers[1]
    assert isinstance(second, SignedUrl)
    links = Links()
    with ThreadPoolExecutor(1) as threads:
        assert ask_many(links, 1, threads, answers) == ["https://0"]
        assert ask_many(links, 1, threads, answers) == ["https://1"]
        links.forget("copy", SignedUrl("https://1", second.until))  # another one that looks the same
        assert ask_many(links, 1, threads, answers) == ["https://1"]
        links.forget("copy", second)
        assert ask_many(links, 1, threads, answers) == ["https://2"]


def test_a_viewer_who_leaves_takes_the_answer_from_nobody() -> None:
    links, gate = Links(), threading.Event()

    def ask() -> SignedUrl:
        gate.wait(30)
        return SignedUrl("https://a", time.time() + 600)

    async def one_leaves(threads: ThreadPoolExecutor) -> str:
        leaving, staying = (asyncio.ensure_future(links.of("copy", ask, threads)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        gate.set()
        return (await staying).url

    with ThreadPoolExecutor(1) as threads:
        assert asyncio.run(one_leaves(threads)) == "https://a"
