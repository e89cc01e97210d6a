"""Every kind of film, through `/proxy` from its source and through `/stream` from the archive."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from storage_app.models import StorageAccount
from tests.archive import KEY, archive
from tests.playback.conftest import Place
from tests.playback.films import HIGH, LOW, Films
from tests.playback.tab import Tab
from tests.servers.origin import Origin


def link(place: Place, cinema: Origin, file: Path) -> str:
    """By which a player gets the file from its origin."""
    return place.proxied(cinema.url(f"/{file.relative_to(cinema.folder)}"))


def test_an_mp4_plays_from_its_source_to_its_end(place: Place, cinema: Origin, films: Films, tab: Tab) -> None:
    tab.play(link(place, cinema, films.mp4))
    tab.play_the_end()
    assert any(not seen.headers.get("Range", "bytes=0-").startswith("bytes=0-") for seen in cinema.requests)
    assert tab.hosts() == {urlsplit(place.base_url).netloc}


def test_an_mp4_plays_from_the_archive_to_its_end(
    place: Place, accounts: list[StorageAccount], films: Films, tab: Tab
) -> None:
    video = archive(KEY, accounts, films.mp4.read_bytes())
    tab.play(place.url(video.stream_url))
    tab.play_the_end()
    assert tab.hosts() == {urlsplit(place.base_url).netloc}


def test_a_ladder_plays_and_changes_its_rung(place: Place, cinema: Origin, films: Films, tab: Tab) -> None:
    tab.play(link(place, cinema, films.ladder))
    assert tab.ask("hls.levels.length") == 2
    tab.ask("void (hls.currentLevel = 1)")
    tab.until(f"video.videoHeight === {HIGH}")
    tab.ask("void (hls.currentLevel = 0)")
    tab.until(f"video.videoHeight === {LOW}")
    tab.play_the_end()
    assert tab.hosts() == {urlsplit(place.base_url).netloc}


def test_an_encrypted_stream_plays(place: Place, cinema: Origin, films: Films, tab: Tab) -> None:
    tab.play(link(place, cinema, films.encrypted))
    tab.play_the_end()
    assert cinema.count("/encrypted/key") > 0
    assert tab.hosts() == {urlsplit(place.base_url).netloc}


def test_byte_ranges_of_a_fragmented_mp4_play(place: Place, cinema: Origin, films: Films, tab: Tab) -> None:
    tab.play(link(place, cinema, films.byte_ranges))
    tab.play_the_end()
    assert any(seen.headers.get("Range", "").count("-") == 1 for seen in cinema.requests)
    assert tab.hosts() == {urlsplit(place.base_url).netloc}


def test_a_stream_plays_without_hls_js_where_the_browser_can(
    place: Place, cinema: Origin, films: Films, tab: Tab
) -> None:
    tab.play(link(place, cinema, films.ladder), native=True)
    assert tab.hosts() == {urlsplit(place.base_url).netloc}
