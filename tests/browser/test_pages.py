"""Pages that are built by scripts lead to their video in real Chromium, and to nothing inside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from queue_app.downloaders import browser
from queue_app.failures import BadSource, Cancelled, Forbidden, Transient
from tests.servers import origin as servers
from tests.servers.videos import Videos
from tests.unit.page_downloads import JPEG, Pages, children, naming

ELEMENT = """<script>
fetch('/where').then(answer => answer.text()).then(path => {
  const video = document.createElement('video');
  video.src = path;
  EXTRA
  document.body.append(video);
});
</script>"""
VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"


def page_with(body: str, title: str = "A film") -> str:
    return f"<!doctype html><html><head><title>{title}</title></head><body>{body}</body></html>"


def nothing_left(temporary: Path) -> bool:
    return not list(temporary.iterdir()) and not list(naming(temporary)) and not children()


def test_a_page_built_by_a_script_leads_to_its_video(pages: Pages, videos: Videos, temporary: Path) -> None:
    pages.origin.put("/where", b"/film.mp4")
    pages.origin.put("/poster.jpg", JPEG)
    pages.origin.put("/en.vtt", VTT)
    extra = """video.poster = '/poster.jpg';
      const track = document.createElement('track');
      Object.assign(track, {kind: 'subtitles', src: '/en.vtt', srclang: 'en', label: 'English'});
      video.append(track);
      document.title = 'The film';"""
    got = pages.download(pages.put(page_with(ELEMENT.replace("EXTRA", extra))))
    assert got.path.read_bytes() == videos.mp4.read_bytes()
    assert got.page
    assert got.page.thumbnail
    assert (got.page.title, got.page.duration, got.page.thumbnail.read_bytes()) == ("The film", 6.0, JPEG)
    assert [(one.language, one.name) for one in got.subtitles] == [("en", "English")]
    assert nothing_left(temporary)


def test_a_stream_that_a_script_fetches_is_found_by_its_master_playlist(pages: Pages) -> None:
    script = """<video></video><script>(async () => {
      const base = '/hls/';
      await (await fetch(base + 'master' + '.m3u' + '8')).text();
      await (await fetch(base + 'index' + '.m3u' + '8')).text();
      document.querySelector('video').src = URL.createObjectURL(new MediaSource());
    })()</script>"""
    pages.origin.put("/hls/master.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nindex.m3u8\n")
    got = pages.download(pages.put(page_with(script)))
    assert got.container == "mpegts"
    assert pages.origin.count("/hls/master.m3u8") == 2


def test_a_play_button_is_clicked(pages: Pages, videos: Videos) -> None:
    script = """<div id="player" class="big-play-button" style="width: 90px; height: 90px">watch</div><script>
      document.getElementById('player').onclick = () => {
        const video = document.createElement('video');
        video.src = '/film' + '.mp4';
        document.body.append(video);
      };</script>"""
    assert pages.download(pages.put(page_with(script))).size == videos.mp4.stat().st_size


def test_the_media_is_asked_for_as_the_browser_did(pages: Pages) -> None:
    page = pages.put(page_with("<script>document.cookie = 'pass=1; path=/'</script>" + ELEMENT.replace("EXTRA", "")))
    pages.origin.put("/where", b"/film.mp4")
    pages.origin.misbehave("/film.mp4", servers.Needs(headers={"Referer": page, "Cookie": "pass=1"}))
    assert pages.download(page).page
    agents = {seen.headers["User-Agent"] for seen in pages.origin.requests if seen.path == "/film.mp4"}
    assert len(agents) == 1


def test_a_page_that_asks_for_a_key_system_is_protected(pages: Pages) -> None:
    script = """<video></video><script>navigator.requestMediaKeySystemAccess('org.w3.clearkey', [{
      initDataTypes: ['cenc'], videoCapabilities: [{contentType: 'video/mp4; codecs="avc1.42c00d"'}]}]);</script>"""
    pages.seconds = 15
    with pytest.raises(BadSource, match="protected by DRM"):
        pages.download(pages.put(page_with(script)))


def test_an_empty_page_says_that_it_was_watched(pages: Pages, temporary: Path) -> None:
    pages.seconds = 12
    with pytest.raises(Transient, match="watching it in a browser: no video"):
        pages.download(pages.put(page_with("<p>nothing here")))
    assert nothing_left(temporary)


def test_a_page_that_hangs_is_left(pages: Pages, temporary: Path) -> None:
    pages.seconds = 8
    with pytest.raises(Transient, match="browser: it took longer than 8 s"):
        pages.download(pages.put(page_with("<script>while (true) {}</script>")))
    assert nothing_left(temporary)


@pytest.fixture
def inside() -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket of this host that nobody may reach."""
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    tcp.settimeout(0.1)
    udp.settimeout(0.1)
    return tcp, udp


def test_nothing_that_a_page_tries_reaches_the_inside(
    pages: Pages, inside: tuple[socket.socket, socket.socket]
) -> None:
    tcp, udp = inside
    port = tcp.getsockname()[1]
    script = f"""<img src="http://localhost:{port}/i"><iframe src="http://[::1]:{port}/f"></iframe>
      <video src="http://127.0.0.1:{port}/x.mp4" autoplay></video>
      <link rel="preconnect" href="http://127.0.0.1:{port}"><link rel="dns-prefetch" href="//127.0.0.1:{port}">
      <script>
        fetch('http://127.0.0.1:{port}/a', {{mode: 'no-cors'}});
        fetch('http://127.1:{port}/b', {{mode: 'no-cors'}});
        new WebSocket('ws://127.0.0.1:{port}/c');
        new WebSocket('wss://localhost:{port}/d');
        navigator.sendBeacon('http://127.0.0.1:{port}/e', 'x');
        const peer = new RTCPeerConnection({{iceServers: [{{urls: 'stun:127.0.0.1:{udp.getsockname()[1]}'}},
          {{urls: 'turn:127.0.0.1:{port}?transport=tcp', username: 'u', credential: 'p'}}]}});
        peer.createDataChannel('x');
        peer.createOffer().then(offer => peer.setLocalDescription(offer));
        open('http://127.0.0.1:{port}/popup');
      </script>"""
    pages.seconds = 15
    # The reader finds the address of the video in the HTML, and the fetcher refuses it.
    with pytest.raises(Forbidden, match="not public"):
        pages.download(pages.put(page_with(script)))
    page = pages.put(page_with(script.replace("<video", "<div data-x=").replace("</video>", "</div>")))
    with pytest.raises(Transient, match="may not be fetched"):
        pages.download(page)
    with pytest.raises(TimeoutError):
        tcp.accept()
    with pytest.raises(TimeoutError):
        udp.recv(1000)
    tcp.close()
    udp.close()


def test_a_page_cannot_read_files_of_the_host(pages: Pages, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<script>fetch('/stolen')</script>")
    pages.seconds = 12
    body = f'<iframe src="file://{secret}"></iframe><script>location = "file://{secret}"</script>'
    with pytest.raises(Transient):
        pages.download(pages.put(page_with(body)))
    assert pages.origin.count("/stolen") == 0


def test_cancelling_ends_the_browser_at_once(pages: Pages, temporary: Path) -> None:
    cancelled: list[float] = []
    deadline = time.monotonic() + 60

    def cancel(_done: int, _total: int | None) -> None:
        assert time.monotonic() < deadline
        if pages.origin.count("/film.html") >= 3:
            assert any("chrom" in child.name() for child in children())
            cancelled.append(time.monotonic())
            raise Cancelled("test")

    with pytest.raises(Cancelled):
        pages.download(pages.put(page_with("<p>nothing here")), progress=cancel)
    assert nothing_left(temporary)


def test_the_browser_does_not_outlive_a_killed_worker(pages: Pages, temporary: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.unit.page_downloads import Pages\n"
        "class Fake: host_port = ('127.0.0.1', int(sys.argv[1]))\n"
        "Pages(Fake(), Path(sys.argv[2]), browser=sys.argv[3]).download(sys.argv[4])\n"
    )
    page = pages.put(page_with("<p>nothing here"))
    arguments = [str(pages.origin.host_port[1]), str(pages.folder), pages.browser, page]
    worker = subprocess.Popen([sys.executable, "-c", script, *arguments], env={**os.environ, "TMPDIR": str(temporary)})
    deadline = time.monotonic() + 60
    while pages.origin.count("/film.html") < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    started = list(psutil.Process(worker.pid).children(recursive=True))
    assert any("chrom" in process.name() for process in started)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert not psutil.wait_procs(started, timeout=15)[1]
    while list(temporary.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert nothing_left(temporary)


def test_without_a_program_there_is_no_browser(tmp_path: Path) -> None:
    assert browser.find(str(tmp_path / "chromium")) is None
