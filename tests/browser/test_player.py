"""The player's page in real Chromium, against the site as it is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_app.models import StorageAccount, VideoStore
from tests.archive import KEY, archive, make_account
from tests.browser.watching import SECONDS, Viewer
from tests.servers.site import Site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(tmp_path: Path) -> StorageAccount:
    return make_account(tmp_path / "account")


@pytest.fixture
def video(account: StorageAccount, films: Path) -> VideoStore:
    return archive(KEY, [account], (films / "film-80-180.mp4").read_bytes())


@pytest.fixture
def watch(kept_site: Site) -> str:
    return kept_site.url(KEY.watch_path())


def test_an_archived_video_plays_and_goes_on_near_its_end(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.page.click("#big-play")
    viewer.plays()
    viewer.value(f"v.currentTime = {SECONDS - 3}")
    viewer.plays()
    viewer.until("v.ended && !v.error")
