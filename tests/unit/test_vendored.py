"""What the player page brings along is what its authors published."""

from __future__ import annotations

import hashlib

import pytest

from tests.vendored import FILES, FOLDER, Unreachable, Vendored

pytestmark = pytest.mark.parametrize("name", sorted(FILES))


def test_the_vendored_files_have_the_sums_that_were_kept(name: str) -> None:
    found = {file: hashlib.sha256((FOLDER / name / file).read_bytes()).hexdigest() for file in FILES[name]}
    assert found == Vendored.read(name).sha256


def test_the_vendored_files_are_those_of_the_npm_package(name: str) -> None:
    try:
        published = Vendored.read(name).fetch(FILES[name])
    except Unreachable as reason:
        pytest.skip(f"npm can't fetch it now, the kept sums were compared: {reason}")
    assert published == {file: (FOLDER / name / file).read_bytes() for file in FILES[name]}
