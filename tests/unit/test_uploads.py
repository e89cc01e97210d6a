"""Several accounts at once, and one that fails or hangs among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storage_app.backends.base import (
    Backend,
    Capacity,
    FileToPut,
    GrowingFile,
    ListedObject,
    Progress,
    StorageFullError,
    StorageUnavailableError,
    StoredObject,
)
from storage_app.models import StorageAccount
from storage_app.upload import Order, Outcome, Uploads

FILES = (
    FileToPut(Path("/nowhere/a.mp4"), "r", "a.mp4", "a" * 64, 100),
    FileToPut(Path("/nowhere/a.jpg"), "r", "a.jpg", "b" * 64, 10),
)


@dataclass
class Floor:
    """Who is being sent to, and in which order they came and went."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    inside: list[str] = field(default_factory=list)
    most: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def enter(self, kind: str, name: str) -> None:
        with self.lock:
            self.inside.append(kind)
            self.most[kind] = max(self.most.get(kind, 0), self.inside.count(kind))
            self.log.append(f"+{name}")

    def leave(self, kind: str, name: str) -> None:
        with self.lock:
            self.inside.remove(kind)
            self.log.append(f"-{name}")


@dataclass
class Account:
    """A backend that holds nothing: it only takes the time it is given, or fails."""

    floor: Floor
    kind: str
    name: str
    error: Exception | None = None
    go: threading.Event | None = None
    calls: int = 0

    def put(self, files: Sequence[FileToPut], progress: Progress) -> list[StoredObject]:
        self.calls += 1
        self.floor.enter(self.kind, self.name)
        try:
            for sent in range(0, sum(file.size for file in files) + 1, 22):
                progress(sent)
                if self.go is None:
                    time.sleep(0.01)
            if self.go is not None:
                self.go.wait(30)
                progress(0)
            if self.error:
                raise self.error
        finally:
            self.floor.leave(self.kind, self.name)
        return [StoredObject(file.size, file.sha256, f"etag {file.path}") for file in files]

    def send_ahead(self, file: GrowingFile, repo: str, path: str) -> None: ...

    def drop_ahead(self, repo: str, path: str) -> None: ...

    def copy_from(self, other: Backend, file: FileToPut) -> StoredObject | None: ...

    def stat(self, repo: str, path: str) -> StoredObject:
        raise NotImplementedError

    def open(self, repo: str, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        raise NotImplementedError

    def delete(self, repo: str, path: str) -> None:
        raise NotImplementedError

    def list(self, repo: str | None = None) -> Iterator[ListedObject]:
        raise NotImplementedError

    def capacity(self) -> Capacity:
        raise NotImplementedError

    def direct_url(self, repo: str, path: str) -> str | None: ...


@pytest.fixture
def floor() -> Floor:
    return Floor()


def orders(*accounts: Account) -> list[Order]:
    return [
        Order(StorageAccount(index=n, kind=account.kind, username=account.name), account, FILES)
        for n, account in enumerate(accounts, start=1)
    ]


def run(
    *accounts: Account,
    progress: Callable[[int, int], None] = lambda _sent, _total: None,
    check: Callable[[], None] = lambda: None,
    patience: float = 30,
    warm: bool = False,
) -> dict[str, Outcome]:
    with Uploads(orders(*accounts), progress=progress, check=check, patience=patience, warm=warm) as uploads:
        return {outcome.order.account.username: outcome for outcome in uploads}


def many(floor: Floor, kind: str, count: int) -> list[Account]:
    return [Account(floor, kind, f"{kind}{n}") for n in range(count)]


def test_each_account_is_given_all_files_in_one_call(floor: Floor) -> None:
    accounts = many(floor, "s3", 2)
    outcomes = run(*accounts)
    assert [account.calls for account in accounts] == [1, 1]
    assert [stored.etag for stored in outcomes["s30"].stored] == ["etag a.mp4", "etag a.jpg"]


def test_the_first_hub_account_goes_alone_and_the_others_two_at_a_time(floor: Floor) -> None:
    assert len(run(*many(floor, "huggingface", 5))) == 5
    assert floor.log[:2] == ["+huggingface0", "-huggingface0"]
    assert floor.most == {"huggingface": 2}


def test_what_a_hub_account_has_already_is_sent_to_two_at_once(floor: Floor) -> None:
    run(*many(floor, "huggingface", 4), warm=True)
    assert set(floor.log[:2]) == {"+huggingface0", "+huggingface1"}


def test_after_a_first_hub_account_that_failed_the_next_goes_alone(floor: Floor) -> None:
    accounts = many(floor, "huggingface", 3)
    accounts[0].error = StorageFullError("full")
    run(*accounts)
    assert floor.log[:4] == ["+huggingface0", "-huggingface0", "+huggingface1", "-huggingface1"]


def test_accounts_of_other_kinds_go_beside_it_four_at_a_time(floor: Floor) -> None:
    run(*many(floor, "huggingface", 2), *many(floor, "local", 4), *many(floor, "s3", 4))
    assert (floor.most["huggingface"], floor.log[0]) == (1, "+huggingface0")
    assert floor.most["local"] + floor.most["s3"] <= 8
    assert floor.log.index("+local0") < floor.log.index("-huggingface0")
    alone = Floor()
    run(*many(alone, "local", 6))
    assert alone.most == {"local": 4}


@pytest.mark.parametrize("error", [StorageFullError("full"), KeyError("a fault of ours")])
def test_one_that_fails_leaves_the_others_alone(floor: Floor, error: Exception) -> None:
    accounts = many(floor, "local", 3)
    accounts[1].error = error
    outcomes = run(*accounts)
    assert outcomes["local1"].error is error
    assert [len(outcomes[name].stored) for name in ("local0", "local2")] == [2, 2]


def test_one_that_takes_nothing_is_given_up_and_the_others_are_done(floor: Floor) -> None:
    accounts = many(floor, "local", 3)
    accounts[0].go = threading.Event()
    started = time.monotonic()
    outcomes = run(*accounts, patience=0.5)
    assert time.monotonic() - started < 5
    assert isinstance(outcomes["local0"].error, StorageUnavailableError)
    assert "took no more bytes" in str(outcomes["local0"].error)
    assert outcomes["local1"].stored
    accounts[0].go.set()


def test_the_progress_is_the_sum_over_all_accounts(floor: Floor) -> None:
    told: list[tuple[int, int]] = []
    failing = Account(floor, "local", "failing", error=StorageFullError("full"))
    run(*many(floor, "local", 5), failing, progress=lambda sent, total: told.append((sent, total)))
    assert told[0][1] == 6 * 110
    assert told[-1] == (6 * 110, 6 * 110)
    assert all(sent <= total for sent, total in told)


class TakenAway(Exception):
    """The lease is lost."""


def test_a_lost_lease_stops_every_transfer_promptly(floor: Floor) -> None:
    lost, accounts = threading.Event(), many(floor, "local", 3)

    def check(_sent: int = 0, _total: int = 0) -> None:
        if lost.is_set():
            raise TakenAway

    for account in accounts:
        account.go = threading.Event()

    def lose() -> None:
        lost.set()
        for account in accounts:
            assert account.go is not None
            account.go.set()

    threading.Timer(0.3, lose).start()
    started = time.monotonic()
    with pytest.raises(TakenAway):
        run(*accounts, progress=check, check=check)
    assert time.monotonic() - started < 3
    assert floor.inside == []


def test_a_hanging_transfer_does_not_hold_who_lost_the_lease_for_long(floor: Floor) -> None:
    hanging = Account(floor, "local", "hanging", go=threading.Event())

    def progress(_sent: int, _total: int) -> None:
        if floor.inside:
            raise TakenAway

    started = time.monotonic()
    with pytest.raises(TakenAway):
        run(hanging, progress=progress)
    assert time.monotonic() - started < 10
    assert hanging.go is not None
    hanging.go.set()
