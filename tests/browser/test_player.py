"""The player's page in real Chromium, against the site as it is served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from queue_app.queue import enqueue_video
from storage_app.deletion import delete_videos
from storage_app.models import SidecarKind, StorageAccount, VideoStore
from storage_app.naming import VideoKey
from tests.archive import KEY, archive, copy_of, make_account
from tests.browser.watching import SECONDS, VTT, Viewer, put_beside, storyboard_picture
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.site import Site
from tests.servers.videos import Videos

pytestmark = pytest.mark.django_db(transaction=True)

LOWER = VideoKey(KEY.mal_id, KEY.episode, KEY.provider, "480p")
SOURCE = "http://127.0.0.1:1/video.mp4"  # nothing may be fetched from there


@pytest.fixture
def account(tmp_path: Path) -> StorageAccount:
    return make_account(tmp_path / "account")


@pytest.fixture
def video(account: StorageAccount, films: Path) -> VideoStore:
    return archive(KEY, [account], (films / "film-80-180.mp4").read_bytes())


@pytest.fixture
def watch(kept_site: Site) -> str:
    return kept_site.url(KEY.watch_path())


def put_captions(video: VideoStore, account: StorageAccount, language: str, text: bytes = VTT) -> None:
    kind = SidecarKind.SUBTITLES
    put_beside(video, account, f"{language}.vtt", text, kind, "text/vtt; charset=utf-8", language)


def test_an_archived_video_plays_and_goes_on_near_its_end(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.page.click("#big-play")
    viewer.plays()
    viewer.value(f"v.currentTime = {SECONDS - 3}")
    viewer.plays()
    viewer.until("v.ended && !v.error")


def test_keys_play_pause_and_seek(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.press("k")
    viewer.plays()
    viewer.press(" ")
    viewer.until("v.paused")
    viewer.press("5")
    viewer.until("Math.round(v.currentTime) === 40")
    viewer.press("l")
    viewer.until("Math.round(v.currentTime) === 50")
    viewer.press("j", "j")
    viewer.until("Math.round(v.currentTime) === 30")
    viewer.press("ArrowRight", "ArrowRight", "ArrowLeft")
    viewer.until("Math.round(v.currentTime) === 35")


def test_keys_change_sound_speed_and_size(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.press("m")
    viewer.until("v.muted")
    viewer.press("m", "ArrowDown", "ArrowDown")
    viewer.until("!v.muted && v.volume === 0.9")
    viewer.press(">", ">", "<")
    viewer.until("v.playbackRate === 1.25")
    viewer.press("f")
    viewer.until("document.fullscreenElement?.id === 'player'")
    viewer.press("f")
    viewer.until("!document.fullscreenElement")
    viewer.press("?")
    viewer.until("document.getElementById('help-dialog').open")
    viewer.press("Escape", "k")
    viewer.plays()


def test_a_button_with_the_focus_keeps_its_space_key(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.page.focus("#mute")
    viewer.press(" ")
    viewer.until("v.muted && v.paused")


def test_a_video_goes_on_where_it_was_left_and_not_at_its_end(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.press("5")
    viewer.until("v.currentTime === 40 && !v.seeking")
    viewer.page.reload()
    viewer.loaded()
    viewer.until("v.currentTime === 40 && document.getElementById('resumed').innerText.includes('0:40')")
    viewer.page.click("#resumed button")
    viewer.until("v.currentTime === 0")
    viewer.value(f"v.currentTime = {SECONDS - 1}")
    viewer.until("!v.seeking")
    viewer.page.reload()
    viewer.loaded()
    assert viewer.value("v.currentTime") == 0


def test_a_link_with_a_time_begins_there(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(f"{watch}?t=1m5s")
    viewer.loaded()
    viewer.until("v.currentTime === 65")
    viewer.page.click("#share")
    viewer.page.check("#share-time")
    assert viewer.page.input_value("#share-link") == f"{watch}?t=65"


def test_captions_are_shown_and_remembered(
    viewer: Viewer, video: VideoStore, account: StorageAccount, watch: str
) -> None:
    put_captions(video, account, "en")
    put_captions(video, account, "id", VTT.replace(b"Hello there", b"Halo <b>di sana</b>"))
    viewer.open(watch)
    viewer.loaded()
    viewer.press("k")
    viewer.plays()
    viewer.page.click("#captions")
    assert viewer.page.locator("#captions-menu button").all_inner_texts() == ["Off", "English", "Indonesian"]
    viewer.page.click("text=Indonesian")
    viewer.until("document.getElementById('cues').innerText === 'Halo di sana'")
    viewer.press("c")
    viewer.until("document.getElementById('cues').innerText === ''")
    viewer.press("c")
    viewer.page.reload()
    viewer.loaded()
    viewer.press("k")
    viewer.until("document.getElementById('cues').innerText === 'Halo di sana'")


def test_another_resolution_goes_on_at_the_same_place(
    viewer: Viewer, video: VideoStore, account: StorageAccount, films: Path, kept_site: Site, watch: str
) -> None:
    archive(LOWER, [account], (films / "film-80-90.mp4").read_bytes())
    viewer.open(watch)
    viewer.loaded()
    viewer.press("5", "k")
    viewer.plays()
    viewer.page.click("#quality")
    viewer.page.click("#quality-menu >> text=480p")
    viewer.until("v.videoHeight === 90 && v.currentTime > 40")
    viewer.plays()
    assert viewer.page.url == kept_site.url(LOWER.watch_path())


def test_the_seek_bar_shows_the_storyboards_picture(
    viewer: Viewer, video: VideoStore, account: StorageAccount, tmp_path: Path, watch: str
) -> None:
    cues = [f"00:{at // 60:02}:{at % 60:02}.000 --> 00:{at // 60 + 1:02}:00.000\nsheet.jpg#xywh={x},0,160,90"
            for at, x in ((0, 0), (60, 160))]  # fmt: skip
    kind = SidecarKind.STORYBOARD
    put_beside(video, account, "sheet.jpg", storyboard_picture(tmp_path), kind, "image/jpeg")
    put_beside(video, account, "sheet.vtt", "\n\n".join(["WEBVTT", *cues]).encode(), kind, "text/vtt")
    viewer.open(watch)
    viewer.loaded()
    bar = viewer.page.locator("#position").bounding_box()
    assert bar
    at = bar["x"] + bar["width"] * 0.9

    def seen() -> bool:
        # Painted when the pointer moves; the index comes a little later than the first move.
        viewer.page.mouse.move(at, bar["y"] + 9)
        viewer.page.mouse.move(at + 1, bar["y"] + 9)
        return bool(
            viewer.value("document.querySelector('#preview .picture').style.backgroundPosition === '-160px 0px'")
        )

    viewer.poll(seen)
    assert viewer.page.inner_text("#preview span").startswith("1:1")


def test_without_a_storyboard_the_seek_bar_shows_times(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.page.hover("#position")
    viewer.until("document.querySelector('#preview span').textContent.startsWith('0:')")
    assert viewer.page.locator("#preview .picture").is_hidden()


def test_what_nobody_asked_for_says_so(viewer: Viewer, watch: str) -> None:
    viewer.open(watch)
    assert "nobody has asked for it" in viewer.says()
    assert "Trying again in" not in viewer.says()


def test_a_waiting_video_starts_when_it_is_archived(viewer: Viewer, request: pytest.FixtureRequest, watch: str) -> None:
    enqueue_video(KEY, SOURCE)
    viewer.open(watch)
    assert "its job is pending" in viewer.says()
    assert "Trying" in viewer.says()
    request.getfixturevalue("video")
    viewer.loaded()
    viewer.press("k")
    viewer.plays()


def test_a_deleted_video_says_so(viewer: Viewer, video: VideoStore, watch: str) -> None:
    delete_videos([video.pk], actor="test", reason="test")
    viewer.open(watch)
    assert "This video was deleted" in viewer.says()


def test_a_video_whose_copies_are_out_of_reach_is_tried_again(
    viewer: Viewer, video: VideoStore, account: StorageAccount, watch: str
) -> None:
    copy = copy_of(video, account)
    content = copy.read_bytes()
    copy.unlink()
    viewer.open(watch)
    assert "It can't be read right now" in viewer.says()
    copy.write_bytes(content)
    viewer.page.click("#message .again")
    viewer.loaded()


def test_what_is_no_video_says_that_it_cannot_be_played(viewer: Viewer, account: StorageAccount, watch: str) -> None:
    archive(KEY, [account], b"no video at all" * 1000)
    viewer.open(watch)
    assert "This browser can't play it" in viewer.says()
    assert viewer.page.locator("#message .save").is_visible()


def test_a_download_has_a_good_name(viewer: Viewer, video: VideoStore, account: StorageAccount, watch: str) -> None:
    VideoStore.objects.update(title="Ein Film: Größe?")
    viewer.open(watch)
    viewer.loaded()
    with viewer.page.expect_download() as coming:
        viewer.page.click("#download")
    assert coming.value.suggested_filename == "Ein Film Größe - 01 [animasu 720p].mp4"
    assert Path(coming.value.path()).read_bytes() == copy_of(video, account).read_bytes()


def test_a_lost_connection_is_waited_for(
    viewer: Viewer, video: VideoStore, account: StorageAccount, films: Path, watch: str
) -> None:
    archive(LOWER, [account], (films / "film-80-90.mp4").read_bytes())
    viewer.open(watch)
    viewer.loaded()
    viewer.press("5", "k")
    viewer.plays()
    viewer.page.context.set_offline(True)
    viewer.page.click("#quality")
    viewer.page.click("#quality-menu >> text=480p")
    assert "The server can't be reached" in viewer.says()
    viewer.page.context.set_offline(False)
    viewer.until("v.videoHeight === 90 && v.currentTime > 40")
    viewer.plays()


@pytest.fixture
def edge(origin: Origin, videos: Videos) -> Origin:
    """Where the Worker would be: it serves the video's stream in two levels."""
    open_to_all = {"Access-Control-Allow-Origin": "*"}
    folder = KEY.stream_path().rpartition("/")[0]
    variants = "".join(
        f'#EXT-X-STREAM-INF:BANDWIDTH={rate},RESOLUTION={size},CODECS="avc1.42c00d,mp4a.40.2"\nindex.m3u8?{rate}\n'
        for rate, size in ((200_000, "320x180"), (900_000, "640x360"))
    )
    origin.put(KEY.stream_path(), f"#EXTM3U\n{variants}".encode())
    playlist = servers.Headers(headers={**open_to_all, "Content-Type": "application/vnd.apple.mpegurl"})
    origin.misbehave(KEY.stream_path(), playlist)
    for file in videos.hls_ts.iterdir():
        origin.put(f"{folder}/{file.name}", file.read_bytes())
        origin.misbehave(f"{folder}/{file.name}", servers.Headers(headers=open_to_all))
    return origin


def test_a_stream_from_the_worker_plays_with_its_levels(
    viewer: Viewer, edge: Origin, start_site: Callable[..., Site]
) -> None:
    site = start_site(CLOUDFLARE_WORKERS_URL=edge.base_url)
    viewer.open(site.url(KEY.watch_path()))
    viewer.loaded()
    viewer.press("k")
    viewer.plays()
    viewer.page.click("#quality")
    labels = viewer.page.locator("#quality-menu button").all_inner_texts()
    assert labels[0].startswith("Auto (")
    assert labels[1:] == ["360p", "180p"]
    viewer.page.click("#quality-menu >> text=180p")
    viewer.press("9")
    viewer.until("v.ended && !v.error")


def test_a_stream_that_breaks_off_says_so_and_goes_on_when_it_can(
    viewer: Viewer, edge: Origin, start_site: Callable[..., Site]
) -> None:
    segment = f"{KEY.stream_path().rpartition('/')[0]}/seg3.ts"
    open_to_all = {"Access-Control-Allow-Origin": "*"}
    edge.misbehave(segment, servers.Status(code=404, headers=open_to_all))
    site = start_site(CLOUDFLARE_WORKERS_URL=edge.base_url)
    viewer.open(site.url(KEY.watch_path()))
    viewer.loaded()
    viewer.press("k")
    assert "Its source does not deliver" in viewer.says()
    edge.misbehave(segment, servers.Headers(headers=open_to_all))
    viewer.page.click("#message .again")
    viewer.until("v.ended && !v.error")


def test_a_waiting_videos_source_plays_at_once(
    viewer: Viewer, origin: Origin, videos: Videos, start_site: Callable[..., Site]
) -> None:
    for file in videos.hls_ts.iterdir():
        origin.put(f"/hls/{file.name}", file.read_bytes())
    enqueue_video(KEY, origin.url("/hls/master.m3u8"))
    site = start_site([origin.host_port])
    viewer.open(site.url(KEY.watch_path()))
    viewer.loaded()
    viewer.press("k")
    viewer.until("v.ended && !v.error")


@pytest.mark.parametrize("status", [404, 410])
def test_a_source_that_is_gone_is_waited_for_until_the_video_is_archived(
    viewer: Viewer, origin: Origin, films: Path, start_site: Callable[..., Site], request: pytest.FixtureRequest,
    status: int,
) -> None:  # fmt: skip
    origin.put("/film.mp4", (films / "film-80-90.mp4").read_bytes())
    enqueue_video(KEY, origin.url("/film.mp4"))
    site = start_site([origin.host_port])
    viewer.open(site.url(KEY.watch_path()))
    viewer.loaded()  # from now on it is known what the source is
    origin.misbehave("/film.mp4", servers.Status(code=status))
    viewer.page.reload()
    said = viewer.says()
    assert ("The source can't be played now" in said, f"status {status}" in said, "Trying" in said) == (True,) * 3
    request.getfixturevalue("video")
    viewer.loaded()


def test_a_source_that_refuses_head_alone_plays(
    viewer: Viewer, origin: Origin, films: Path, start_site: Callable[..., Site]
) -> None:
    origin.put("/film.mp4", (films / "film-80-90.mp4").read_bytes())
    enqueue_video(KEY, origin.url("/film.mp4"))
    site = start_site([origin.host_port])
    viewer.open(site.url(KEY.watch_path()))
    viewer.loaded()
    origin.misbehave("/film.mp4", servers.Status(code=404, times=1))  # the player asks by HEAD first
    viewer.page.reload()
    viewer.loaded()


def test_keys_of_one_character_can_be_turned_off(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.press("?")
    viewer.page.uncheck("#characters")
    viewer.press("Escape", "m", "5", "k", ">", "?", "ArrowRight")
    viewer.until("v.currentTime === 5 && !v.seeking")
    assert viewer.value("[v.muted, v.paused, v.playbackRate, document.getElementById('help-dialog').open]") == [
        False, True, 1, False,
    ]  # fmt: skip
    viewer.page.reload()
    viewer.loaded()
    viewer.press("m", "ArrowDown")
    viewer.until("!v.muted && v.volume === 0.95")
    viewer.page.click(".about .open-help")
    assert not viewer.page.is_checked("#characters")
    viewer.page.check("#characters")
    viewer.press("Escape", "m")
    viewer.until("v.muted")


def test_a_key_that_is_held_down_switches_once(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    for key in ("m", "m", "m", "m"):  # without going up in between these are repeats
        viewer.page.keyboard.down(key)
    for _ in range(3):
        viewer.page.keyboard.down("l")
    viewer.until("v.muted && v.currentTime === 30")


def test_a_slider_with_the_focus_keeps_its_arrow_keys(viewer: Viewer, video: VideoStore, watch: str) -> None:
    viewer.open(watch)
    viewer.loaded()
    viewer.page.focus("#volume")
    viewer.press("ArrowLeft", "ArrowDown")
    viewer.until("v.volume === 0.9")
    viewer.page.focus("#position")
    viewer.press("ArrowUp", "ArrowRight")
    viewer.until("v.currentTime > 0 && !v.seeking")
    assert viewer.value("[v.volume, document.getElementById('now').textContent]") == [0.9, "0:01"]
    viewer.press("Home")
    viewer.until("v.currentTime === 0")
