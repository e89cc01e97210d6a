"""The player's page for everybody: both themes, narrow screens, assistive technology, inside the admin, no scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser

from storage_app.models import SidecarKind, VideoStore
from storage_app.naming import VideoKey
from tests.archive import KEY, archive, make_account
from tests.browser.watching import VTT, Viewer, put_beside
from tests.servers.site import Site
from tests.vendored import Unreachable, Vendored

pytestmark = pytest.mark.django_db(transaction=True)

AXE = Vendored(
    "axe-core", "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==", {},
)  # fmt: skip
WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        return AXE.fetch({"axe": "axe.min.js"})["axe"].decode()
    except Unreachable as reason:
        pytest.skip(f"npm can't fetch axe-core now: {reason}")


@pytest.fixture
def video(tmp_path: Path, films: Path) -> VideoStore:
    account = make_account(tmp_path / "account")
    made = archive(KEY, [account], (films / "film-80-180.mp4").read_bytes())
    archive(VideoKey(KEY.mal_id, 1, KEY.provider, "480p"), [account], (films / "film-80-90.mp4").read_bytes())
    put_beside(made, account, "en.vtt", VTT, SidecarKind.SUBTITLES, "text/vtt; charset=utf-8", "en")
    return made


@pytest.fixture(params=[(scheme, width) for scheme in ("light", "dark") for width in WIDTHS], ids=str)
def reader(browser_of_viewers: Browser, request: pytest.FixtureRequest) -> Iterator[Viewer]:
    scheme, width = request.param
    size: Any = {"width": width, "height": 800}
    with browser_of_viewers.new_context(viewport=size, color_scheme=scheme, has_touch=width < 500) as context:
        watching = Viewer(context)
        yield watching
        assert watching.complaints == []


def faults(viewer: Viewer, axe: str) -> list[str]:
    """What axe finds that is serious."""
    viewer.page.evaluate(axe)
    found = viewer.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    grave = [one for one in found if one["impact"] in {"serious", "critical"}]
    return [f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']]}" for one in grave]


def fits(viewer: Viewer) -> bool:
    """Nothing is wider than the screen, and no button of the bar lies outside the player."""
    return bool(
        viewer.value("""document.documentElement.scrollWidth <= innerWidth
      && [...document.querySelectorAll('.bar > button, .bar > .menu > button')].every(button => {
        const box = button.getBoundingClientRect(), player = document.getElementById('player').getBoundingClientRect();
        return !box.width || (box.left >= player.left && box.right <= player.right);
      })""")
    )


def test_the_page_is_accessible_in_all_its_states(reader: Viewer, video: VideoStore, kept_site: Site, axe: str) -> None:
    reader.open(kept_site.url(KEY.watch_path()))
    reader.loaded()
    assert (faults(reader, axe), fits(reader)) == ([], True)
    for opened in ("#speed", "#quality", "#captions"):
        reader.page.click(opened)
        assert faults(reader, axe) == []
        reader.press("Escape")
    for opened, dialog in ((".about .open-help", "#help-dialog"), ("#share", "#share-dialog")):
        reader.page.click(opened)
        reader.page.wait_for_selector(f"{dialog}[open]")
        assert (faults(reader, axe), fits(reader)) == ([], True)
        reader.press("Escape")
    reader.open(kept_site.url("/watch/1/1/nobody/1080p"))
    reader.says()
    assert (faults(reader, axe), fits(reader)) == ([], True)
    reader.open(kept_site.url("/watch/x/1/nobody/1080p"))
    assert (faults(reader, axe), fits(reader)) == ([], True)


def test_menus_work_by_keyboard_alone(viewer: Viewer, video: VideoStore, kept_site: Site) -> None:
    viewer.open(kept_site.url(KEY.watch_path()))
    viewer.loaded()
    viewer.page.focus("#speed")
    viewer.press("Enter")
    viewer.until("document.activeElement.textContent === 'Normal'")
    viewer.press("ArrowDown", "Enter")
    viewer.until("v.playbackRate === 1.25 && document.activeElement.id === 'speed'")
    assert viewer.page.get_attribute("#speed", "aria-expanded") == "false"


def test_what_a_key_does_is_told_to_screen_readers(viewer: Viewer, video: VideoStore, kept_site: Site) -> None:
    viewer.open(kept_site.url(KEY.watch_path()))
    viewer.loaded()
    viewer.press("m")
    viewer.until("document.querySelector('[role=status]').textContent === 'Sound off'")
    viewer.press("l")
    viewer.until("document.getElementById('position').getAttribute('aria-valuetext') === '0:10 of 1:20'")


def test_the_admin_shows_the_player_and_copies_links(
    browser_of_viewers: Browser, video: VideoStore, kept_site: Site, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    with browser_of_viewers.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": kept_site.base_url}])
        operator = Viewer(context)
        operator.open(kept_site.url(f"/admin/storage_app/videostore/{video.pk}/change/"))
        frame = operator.page.frame_locator("iframe.rk-player")
        frame.locator("#big-play").click()
        frame.locator("#play[aria-label=Pause]").wait_for()
        assert frame.locator("h1").count() == 0
        operator.page.click("text=Copy link")
        operator.page.wait_for_selector("text=Copied")
        copied = operator.page.evaluate("() => navigator.clipboard.readText()")
        assert copied == kept_site.url(KEY.watch_path())
        assert operator.complaints == []


def test_without_scripts_there_is_a_link_to_the_video(
    browser_of_viewers: Browser, video: VideoStore, kept_site: Site
) -> None:
    with browser_of_viewers.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(kept_site.url(KEY.watch_path()))
        link = page.get_attribute("noscript a", "href")
        assert link == KEY.stream_path()


def test_other_sites_cannot_frame_the_player(viewer: Viewer, video: VideoStore, kept_site: Site) -> None:
    other = kept_site.base_url.replace("127.0.0.1", "localhost")
    viewer.page.route("**/page-of-another-site", lambda route: route.fulfill(
        content_type="text/html", body=f'<iframe src="{kept_site.url(KEY.watch_path())}?embed=1"></iframe>'
    ))  # fmt: skip
    viewer.open(f"{other}/page-of-another-site")
    viewer.poll(lambda: viewer.page.frames[-1].url.startswith("chrome-error:"))
    viewer.complaints.clear()
