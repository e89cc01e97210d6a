"""The kinds of account that the contract suite runs against. A further one is one more line in CASES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.storage.cases import Case, Desk
from tests.storage.hub_case import HubCase
from tests.storage.local_case import LocalCase
from tests.storage.s3_case import S3Case

Factory = Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Case]]


def _local(_request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Case]:
    return nullcontext(LocalCase(folder))


def _s3(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Case]:
    return nullcontext(S3Case(request.getfixturevalue("rgw"), request.getfixturevalue("s3_faults"), folder))


def _huggingface(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Case]:
    return nullcontext(HubCase(request.getfixturevalue("hub"), folder, xet=True))


def _huggingface_lfs(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Case]:
    return nullcontext(HubCase(request.getfixturevalue("hub"), folder, xet=False))


CASES: dict[str, Factory] = {
    "local": _local,
    "s3": _s3,
    "huggingface": _huggingface,
    "huggingface-lfs": _huggingface_lfs,
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """An empty account of each kind in turn."""
    folder = tmp_path / "case"
    folder.mkdir()
    with CASES[request.param](request, folder) as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Where files to put are made."""
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(folder)
