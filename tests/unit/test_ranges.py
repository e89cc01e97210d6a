"""RFC 9110 §14 as players use it."""

from __future__ import annotations

import pytest

from storage_app.playback.ranges import ByteRange, Unsatisfiable, parse_range, range_applies


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, 100),
        ("bytes=99-", 99, 100),
        ("bytes=90-500", 90, 100),
        ("bytes=0-" + "9" * 5000, 0, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-100", 0, 100),
        ("bytes=-" + "9" * 5000, 0, 100),
        ("BYTES=5-6", 5, 7),
        (" bytes= 5-6 ", 5, 7),
        ("bytes=" + "0" * 5000 + "5-6", 5, 7),
    ],
)
def test_a_single_range_is_understood(header: str, start: int, stop: int) -> None:
    assert parse_range(header, 100) == ByteRange(start, stop)


@pytest.mark.parametrize(
    "header",
    [
        "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-5", "bytes=1-2,4-5", "bytes=--5", "items=0-5",
        "bytes=0x1-5", "bytes=1.5-5", "bytes=\u0663-\u0665", "bytes 0-5", "bytes=0-5;",
    ],
)  # fmt: skip
def test_what_is_not_understood_means_the_whole_file(header: str) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_outside_the_file_is_unsatisfiable(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 100)


def test_an_empty_file_has_no_last_bytes() -> None:
    with pytest.raises(Unsatisfiable):
        parse_range("bytes=-5", 0)


def test_content_range_names_the_last_byte_not_the_one_behind_it() -> None:
    assert ByteRange(10, 20).content_range(100) == "bytes 10-19/100"


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        ("", True),
        ('"abc"', True),
        ('W/"abc"', False),
        ('"other"', False),
        ("Sat, 21 Nov 2026 02:00:00 GMT", True),
        ("Sat, 21 Nov 2026 02:00:01 GMT", False),
        ("rubbish", False),
    ],
)
def test_if_range_asks_for_exactly_this_content(if_range: str, applies: bool) -> None:
    assert range_applies(if_range, '"abc"', "Sat, 21 Nov 2026 02:00:00 GMT") is applies
