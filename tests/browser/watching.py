"""The player's page in real Chromium, for tests that watch videos."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

from queue_app.media.ffmpeg import find_tools
from storage_app.models import Replica, Sidecar, SidecarKind, StorageAccount, StoredFile, VideoStore

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SECONDS = 80
WAIT = 60_000  # milliseconds: this machine may be busy
VTT = b"WEBVTT\n\n00:00.000 --> 01:20.000\nHello there\n"


def launch(playwright: Playwright, program: str) -> Browser:
    """Chromium as it is installed on this machine."""
    return playwright.chromium.launch(executable_path=program, args=FLAGS)


def film(folder: Path, seconds: int = SECONDS, height: int = 90) -> Path:
    """A small MP4 of that length, H.264 and AAC, index in front."""
    target = folder / f"film-{seconds}-{height}.mp4"
    picture = f"testsrc2=size={height * 16 // 9 // 2 * 2}x{height}:rate=10:duration={seconds}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [find_tools().ffmpeg, "-v", "error", "-y", *inputs, *coding, "-movflags", "+faststart", str(target)]
    subprocess.run(command, check=True)
    return target


def put_beside(
    video: VideoStore, account: StorageAccount, name: str, content: bytes, kind: SidecarKind, content_type: str,
    language: str = "", label: str = "",
) -> StoredFile:  # fmt: skip
    """A sidecar of this video with one copy."""
    path = f"{video.mal_id}/ep{video.episode}/{name}"
    sha256 = hashlib.sha256(content).hexdigest()
    file = StoredFile.objects.create(
        repo=video.hf_repo, path=path, sha256=sha256, size=len(content), duration=0, content_type=content_type
    )
    Replica.objects.create(stored_file=file, account=account)
    place = Path(account.root) / file.repo / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    Sidecar.objects.create(video=video, stored_file=file, kind=kind, language=language, name=label)
    return file


def storyboard_picture(folder: Path) -> bytes:
    """Four pictures of 160 by 90 in one JPEG, side by side."""
    target = folder / "storyboard.jpg"
    command = [find_tools().ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x90:duration=1"]
    subprocess.run([*command, "-frames:v", "1", str(target)], check=True)
    return target.read_bytes()


class Viewer:
    """One tab, and what went wrong in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT)
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        # Answers of 404 and the like are asked for by tests of what the player says to them.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def open(self, url: str) -> None:
        """The page, not yet its video."""
        self.page.goto(url, wait_until="domcontentloaded")

    def until(self, expression: str) -> Any:
        """Waits until this JavaScript is true; `v` is the video element."""
        waiting = f"() => {{ const v = document.getElementById('video'); return ({expression}); }}"
        return self.page.wait_for_function(waiting).json_value()

    def value(self, expression: str) -> Any:
        """What this JavaScript gives now; `v` is the video element."""
        return self.page.evaluate(f"() => {{ const v = document.getElementById('video'); return ({expression}); }}")

    def poll(self, good: Callable[[], bool]) -> None:
        """Until this is true."""
        deadline = time.monotonic() + WAIT / 1000
        while not good():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(100)

    def loaded(self) -> None:
        """Until the video can be played."""
        self.until("v.readyState >= 2 && !document.getElementById('controls').hidden")

    def plays(self, seconds: float = 0.4) -> None:
        """Until its time has advanced by so much."""
        start = self.value("v.currentTime")
        self.until(f"!v.paused && !v.error && v.currentTime > {start + seconds}")

    def press(self, *keys: str) -> None:
        """One after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def says(self) -> str:
        """The message in the place of the video, once there is one."""
        self.page.wait_for_selector("#message:not([hidden])")
        return self.page.inner_text("#message")
