"""Whatever passes the rules fits the tables and makes one segment of a URL."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage_app.key_rules import parse_key, provider_name, resolution_name, work_id


@given(st.text())
def test_a_provider_that_passes_is_one_path_segment(text: str) -> None:
    try:
        name = provider_name(text)
    except ValueError:
        return
    assert 1 <= len(name) <= 20
    assert not set(name) & {"/", "\\", "\0"}
    name.encode()


@given(st.text())
def test_a_resolution_that_passes_has_no_colon_which_would_make_file_keys_ambiguous(text: str) -> None:
    try:
        name = resolution_name(text)
    except ValueError:
        return
    assert name is None or (0 < len(name) <= 10 and ":" not in name and "/" not in name)


@given(st.integers(0, 2**63 - 1))
def test_a_work_is_the_same_as_number_and_as_digits(number: int) -> None:
    assert work_id(number) == work_id(str(number)) == number


@given(st.text(), st.text(), st.text(), st.text())
def test_no_url_breaks_the_parser(work: str, episode: str, provider: str, resolution: str) -> None:
    parse_key(work, episode, provider, resolution)
