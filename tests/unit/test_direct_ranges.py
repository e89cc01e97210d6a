"""One file over many connections: the very same bytes whatever the source does meanwhile."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from archive_site.safe_http import Policy
from queue_app.downloaders import Downloaded, Limits, Progress, Source, download
from queue_app.failures import Cancelled, ExpiredUrl, Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.unit.downloads import Get, Getter

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(12_000_000)
OTHER = VIDEO[:64] + random.Random(2).randbytes(len(VIDEO) - 64)
LIMITS = Limits(max_bytes=100_000_000, retry_wait=0.05)
SLOW = servers.Slow(bytes_per_second=2_000_000)
UNNOTICED = 2
"""The origin sees only at its next write but one that a connection has been closed."""
DATE = "Thu, 19 Nov 2026 10:00:00 GMT"


@pytest.fixture
def get(origin: Origin, folder: Path) -> Get:
    """Download a path of the origin."""
    origin.put("/x.mp4", VIDEO)
    getter = Getter(origin, folder, LIMITS)
    return lambda path="/x.mp4", **options: getter(path, **options)


def is_whole(found: Downloaded, content: bytes = VIDEO) -> bool:
    return found.path.read_bytes() == content and found.sha256 == hashlib.sha256(content).hexdigest()


def later(origin: Origin, do: Callable[[], None], size: int = 1_000_000) -> Callable[[int, int | None], None]:
    """Progress that calls `do` once, when so many bytes have arrived."""
    done = threading.Event()

    def progress(so_far: int, _total: int | None) -> None:
        if so_far >= size and not done.is_set():
            done.set()
            do()

    return progress


def test_many_connections_bring_one_file(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", SLOW)
    assert is_whole(get())
    assert 4 <= origin.most_active <= 8 + UNNOTICED


@pytest.mark.parametrize("times", range(5))
def test_at_full_speed_no_byte_is_lost(times: int, origin: Origin, get: Get) -> None:
    assert is_whole(get())


def test_a_small_file_takes_one_connection(origin: Origin, get: Get) -> None:
    origin.put("/x.mp4", VIDEO[:2_000_000])
    origin.misbehave("/x.mp4", servers.Slow(bytes_per_second=4_000_000))
    assert is_whole(get(), VIDEO[:2_000_000])
    assert origin.count("/x.mp4") == 1


def test_never_more_connections_than_wanted(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", SLOW)
    assert is_whole(get(limits=dataclasses.replace(LIMITS, connections=3)))
    assert origin.most_active <= 3 + UNNOTICED


def test_never_more_connections_than_a_host_may_have(origin: Origin, get: Get, tmp_path: Path) -> None:
    origin.misbehave("/x.mp4", SLOW)
    assert is_whole(get(limits=dataclasses.replace(LIMITS, host_connections=2, shared=tmp_path / "shared")))
    assert origin.most_active <= 2 + UNNOTICED


def test_the_rate_is_kept(origin: Origin, get: Get) -> None:
    began = time.monotonic()
    assert is_whole(get(limits=dataclasses.replace(LIMITS, max_rate=8_000_000)))
    assert time.monotonic() - began >= (len(VIDEO) / 8_000_000) - 0.5


def test_a_source_without_ranges_is_read_once(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.NoRange(), servers.Slow(bytes_per_second=10_000_000))
    assert is_whole(get())
    assert origin.count("/x.mp4") == 2


def test_wrong_ranges_are_not_mixed_in(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.WrongRange(), servers.Slow(bytes_per_second=10_000_000))
    assert is_whole(get())


@pytest.mark.parametrize("headers", [{"ETag": ""}, {"ETag": 'W/"weak"'}, {"ETag": "", "Last-Modified": DATE}])
def test_weak_or_no_validators_do_not_hinder(headers: dict[str, str], origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Headers(headers=headers), SLOW)
    assert is_whole(get())
    assert origin.most_active > 1


@pytest.mark.parametrize(
    ("code", "headers"),
    [(503, {}), (429, {"Retry-After": "1"}), (429, {"Retry-After": formatdate(0, usegmt=True)}), (403, {})],
)
def test_a_source_that_bears_few_connections_gets_few(
    code: int, headers: dict[str, str], origin: Origin, get: Get
) -> None:
    origin.misbehave("/x.mp4", servers.AtMost(connections=3, code=code, headers=headers), SLOW)
    assert is_whole(get())
    assert origin.most_active <= 3
    # Those it refused at first, and a few tries later whether it bears more.
    assert origin.count("/x.mp4") <= 12 + 24


@pytest.mark.parametrize("after", [200_000, 900_000])
def test_connections_that_are_cut_again_and_again_do_no_harm(after: int, origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Cut(after=after))
    assert is_whole(get())


def test_random_refusals_do_no_harm(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Cut(after=700_000), servers.Status(code=503, times=0))
    refusing = servers.Status(code=503, times=3)
    start = later(origin, lambda: origin.misbehave("/x.mp4", refusing, servers.Cut(after=700_000)))
    assert is_whole(get(progress=start))


def test_one_slow_connection_does_not_hold_up_the_rest(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Slow(bytes_per_second=20_000, times=1))
    assert is_whole(get())


def test_a_stalled_connection_is_taken_over(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", servers.Stall(after=300_000, times=2), SLOW)
    assert is_whole(get())


def test_a_file_that_changes_meanwhile_is_read_afresh(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", SLOW)

    def change() -> None:
        origin.put("/x.mp4", OTHER)
        origin.misbehave("/x.mp4", servers.Cut(after=400_000, times=8))

    assert is_whole(get(progress=later(origin, change)), OTHER)


def test_a_file_that_keeps_changing_is_a_failure(origin: Origin, get: Get) -> None:
    origin.misbehave("/x.mp4", SLOW)

    def change(done: int, _total: int | None) -> None:
        if done >= 1_000_000:
            origin.put("/x.mp4", VIDEO[:64] + random.randbytes(len(VIDEO) - 64))

    with pytest.raises(Transient, match="changes while it is fetched"):
        get(progress=change)


@pytest.mark.parametrize("code", [401, 403, 410])
def test_a_url_that_expires_meanwhile_says_so_and_loses_nothing(
    code: int, origin: Origin, get: Get, folder: Path
) -> None:
    origin.misbehave("/x.mp4", servers.Cut(after=500_000), SLOW)
    expire = later(origin, lambda: origin.misbehave("/x.mp4", servers.Status(code=code)), 3_000_000)
    with pytest.raises(ExpiredUrl):
        get(progress=expire)
    assert (folder / "direct.part").exists()
    with pytest.raises(ExpiredUrl):
        get()
    served = origin.served("/x.mp4")
    origin.misbehave("/x.mp4", SLOW)
    found = get("/x.mp4?signature=new")
    assert is_whole(found)
    assert found.resumed
    assert origin.served("/x.mp4") - served < len(VIDEO) - 2_000_000


def test_a_bad_piece_on_the_disk_is_fetched_again(origin: Origin, get: Get, folder: Path) -> None:
    origin.misbehave("/x.mp4", SLOW)

    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        get(progress=later(origin, cancel, 5_000_000))
    with (folder / "direct.part").open("r+b") as part:
        # The second connection's first bytes, which no hash from the beginning covers yet.
        part.seek(1024 * 1024 + 10)
        part.write(b"damaged")
    found = get()
    assert is_whole(found)
    assert found.resumed


def test_nothing_writes_to_the_file_after_the_end(origin: Origin, folder: Path) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", SLOW)

    def cancel(done: int, _total: int | None) -> None:
        if done > 1_000_000:
            raise Cancelled

    policy = Policy(frozenset({origin.host_port}))
    with pytest.raises(Cancelled):
        download(Source(origin.url("/x.mp4")), folder, policy=policy, limits=LIMITS, progress=cancel)
    before = hashlib.sha256((folder / "direct.part").read_bytes()).digest()
    time.sleep(0.5)
    assert hashlib.sha256((folder / "direct.part").read_bytes()).digest() == before
    assert not [t for t in threading.enumerate() if t.name == "direct-keeper"]


def test_progress_is_told_in_the_callers_thread(origin: Origin, get: Get) -> None:
    callers: set[int] = set()
    seen = Progress()

    def progress(done: int, total: int | None) -> None:
        callers.add(threading.get_ident())
        assert done >= seen.bytes_done
        seen(done, total)

    origin.misbehave("/x.mp4", SLOW)
    get(progress=progress)
    assert (callers, seen.bytes_done) == ({threading.get_ident()}, len(VIDEO))
