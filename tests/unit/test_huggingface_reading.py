"""Reading from a Hugging Face account, whatever cuts in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from storage_app.backends.base import (
    ContentMismatchError,
    StorageUnavailableError,
)
from tests.servers.hub import (
    Cut,
    Hub,
    Refuse,
    Stall,
)
from tests.servers.misbehaviour import NoRange
from tests.unit.huggingface import PATH, REPO, file_of, put, random_bytes, ready


@pytest.mark.parametrize("fault", [Cut(times=2, after=60_000), Stall(times=2, after=60_000)])
def test_a_read_that_breaks_off_goes_on_at_the_same_byte(hub: Hub, tmp_path: Path, fault: Cut | Stall) -> None:
    backend, content = ready(hub, tmp_path, "xet", timeout=0.5), random_bytes(300_000)
    put(backend, file_of(tmp_path, content))
    hub.misbehave("cdn", replace(fault))
    served = hub.served["cdn"]
    assert b"".join(backend.open(REPO, PATH, 1000, 299_000)) == content[1000:299_000]
    assert hub.served["cdn"] - served < 300_000 + 2 * 65_536


def test_a_signed_url_that_has_expired_is_replaced(hub: Hub, tmp_path: Path) -> None:
    backend, content = ready(hub, tmp_path, "xet"), random_bytes(300_000)
    put(backend, file_of(tmp_path, content))
    hub.misbehave("cdn", Cut(times=1, after=100_000), Refuse(times=1, skip=1, code=403, message="expired"))
    resolved = hub.count("resolve")
    assert b"".join(backend.open(REPO, PATH)) == content
    assert hub.count("resolve") == resolved + 2


@pytest.mark.parametrize("start", [0, 100_000, 299_999])
def test_a_file_server_that_ignores_ranges_is_read_up_to_there(hub: Hub, tmp_path: Path, start: int) -> None:
    backend, content = ready(hub, tmp_path, "lfs"), random_bytes(300_000)
    put(backend, file_of(tmp_path, content))
    hub.misbehave("cdn", NoRange())
    assert b"".join(backend.open(REPO, PATH, start)) == content[start:]
    assert b"".join(backend.open(REPO, PATH, start, start + 10)) == content[start : start + 10]


def test_an_address_to_send_to_that_has_expired_is_an_outage(hub: Hub, tmp_path: Path) -> None:
    backend, file = ready(hub, tmp_path, "lfs"), file_of(tmp_path, random_bytes(50_000))
    hub.url_lifetime = 0
    with pytest.raises(StorageUnavailableError, match="signed address"):
        put(backend, file)
    hub.url_lifetime = 3600
    put(backend, file)


def test_a_file_server_that_refuses_what_was_just_signed_is_an_outage(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "xet")
    hub.url_lifetime = 0
    with pytest.raises(StorageUnavailableError, match="403"):
        list(backend.open(REPO, "55825/ep0/first.mp4"))


def test_a_file_that_is_replaced_while_it_is_read_is_not_mixed(hub: Hub, tmp_path: Path) -> None:
    backend = ready(hub, tmp_path, "lfs")
    put(backend, file_of(tmp_path, random_bytes(300_000)))
    hub.misbehave("cdn", Cut(times=1, after=100_000), Refuse(times=1, skip=1, code=403))
    reading = backend.open(REPO, PATH)
    next(reading)
    hub.repo("ann", REPO).head.files[PATH] = hub.repo("ann", REPO).head.files["55825/ep0/first.mp4"]
    with pytest.raises(ContentMismatchError, match="replaced"):
        list(reading)
