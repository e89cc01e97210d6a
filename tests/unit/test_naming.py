"""Names of stored files, CONTRACT §1.2."""

from __future__ import annotations

import hashlib

from storage_app.naming import VideoKey


def test_the_file_key_is_the_first_half_of_the_salted_hash() -> None:
    expected = hashlib.sha256(b"salt:55825:1:animasu:720p").hexdigest()[:32]
    assert VideoKey(55825, 1, "animasu", "720p").file_key("salt") == expected


def test_no_resolution_is_hashed_as_the_empty_string() -> None:
    expected = hashlib.sha256(b"salt:55825:1:animasu:").hexdigest()[:32]
    assert VideoKey(55825, 1, "animasu", None).file_key("salt") == expected


def test_a_work_has_a_repository_and_an_episode_a_folder() -> None:
    key = VideoKey(55825, 1, "animasu", "720p")
    assert key.repo("weaboo") == "weaboo-55825"
    assert key.path("salt") == f"55825/ep1/{key.file_key('salt')}.mp4"


def test_the_stream_path_quotes_what_a_url_cannot_hold() -> None:
    assert VideoKey(1, 0, "a b?ü", None).stream_path() == "/stream/1/0/a%20b%3F%C3%BC"
    assert VideoKey(1, 0, "p", "720p").stream_path() == "/stream/1/0/p/720p"
