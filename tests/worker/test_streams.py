"""Streams of every kind through a real worker: to the frame, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from queue_app.models import VideoQueue
from storage_app.models import StorageAccount, VideoStore
from tests.servers.origin import Body, Origin
from tests.servers.streams import chained, clip, cut, encrypted_by_ffmpeg, fmp4
from tests.servers.videos import Videos, frame_hashes
from tests.worker.conftest import StartWorker, add, eventually

Make = Callable[[Path, Path], Path]


def changing_resolution(source: Path, folder: Path) -> Path:
    parts = [cut(s, folder, name=name) for name, s in (("p0", source), ("p1", clip(source.parent, size="640x360")))]
    return chained(folder / "index.m3u8", *parts)


def with_separate_sound(source: Path, folder: Path) -> Path:
    cut(source, folder, "-map", "0:v", name="v")
    cut(source, folder, "-map", "0:a", name="a")
    media = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",DEFAULT=YES,URI="a.m3u8"'
    master = f'#EXTM3U\n{media}\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=320x180,AUDIO="a"\nv.m3u8\n'
    (folder / "index.m3u8").write_text(master)
    return folder / "index.m3u8"


WHOLE: dict[str, Make] = {
    "ts": cut,
    "fmp4": lambda source, folder: cut(source, folder, *fmp4()),
    "aes-128": encrypted_by_ffmpeg,
    "key rotation": lambda source, folder: encrypted_by_ffmpeg(source, folder, rotating=True),
    "byte range": lambda source, folder: cut(source, folder, "-hls_flags", "single_file"),
    "discontinuity": changing_resolution,
    "separate sound": with_separate_sound,
}


def missing(playlist: Path) -> None:
    (playlist.parent / "index2.ts").unlink()


def truncated(playlist: Path) -> None:
    segment = playlist.parent / "index2.ts"
    segment.write_bytes(segment.read_bytes()[: segment.stat().st_size // 2 // 188 * 188])


def gap(playlist: Path) -> None:
    playlist.write_text(playlist.read_text().replace("index2.ts", "#EXT-X-GAP\nindex2.ts"))


def left_out(playlist: Path) -> None:
    """The playlist still counts its seconds, but another segment comes in its place."""
    playlist.write_text(playlist.read_text().replace("index2.ts", "index1.ts"))


def page_as_segment(playlist: Path) -> None:
    (playlist.parent / "index2.ts").write_bytes(b"<!doctype html><title>Not found</title>" * 10)


def drm(playlist: Path) -> None:
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://k",KEYFORMAT="com.apple.streamingkeydelivery"'
    playlist.write_text(playlist.read_text().replace("#EXTINF", f"{key}\n#EXTINF", 1))


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing segment": (missing, "missing"),
    "truncated segment": (truncated, ""),
    "gap": (gap, "GAP"),
    "left out": (left_out, ""),
    "page as segment": (page_as_segment, "web page"),
    "drm": (drm, "DRM"),
}


def ended(jobs: dict[str, VideoQueue]) -> bool:
    for job in jobs.values():
        job.refresh_from_db()
    return all(job.status in {"ready", "failed"} for job in jobs.values())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    return clip(folder)


def test_every_kind_of_stream_arrives_to_the_frame(
    source: Path, start_worker: StartWorker, origin: Origin, accounts: list[StorageAccount]
) -> None:
    jobs = {}
    for number, (kind, make) in enumerate(WHOLE.items(), 1):
        make(source, origin.folder / str(number))
        jobs[kind] = add(origin.url(f"/{number}/index.m3u8"), number)
    start_worker(MAX_CONCURRENT="3")
    eventually(lambda: ended(jobs), 180)
    assert {kind: (job.status, job.error_message) for kind, job in jobs.items()} == dict.fromkeys(
        WHOLE, ("ready", None)
    )
    other = clip(source.parent, size="640x360")
    for kind, job in jobs.items():
        file = VideoStore.objects.select_related("stored_file").get(episode=job.episode).stored_file
        assert file is not None
        found = frame_hashes(Path(accounts[0].root) / file.repo / file.path)
        if kind == "discontinuity":
            assert (len(found), set(found)) == (
                2 * len(frame_hashes(source)),
                {*frame_hashes(source), *frame_hashes(other)},
            )
        else:
            assert found == frame_hashes(source), kind


def test_every_damaged_stream_is_refused_with_the_reason(
    source: Path, start_worker: StartWorker, origin: Origin
) -> None:
    jobs = {}
    for number, (kind, (damage, _)) in enumerate(DAMAGED.items(), 1):
        damage(cut(source, origin.folder / str(number)))
        jobs[kind] = add(origin.url(f"/{number}/index.m3u8"), number, max_attempts=1)
    start_worker(MAX_CONCURRENT="3")
    eventually(lambda: ended(jobs), 180)
    found = {kind: (job.status, job.failure_class) for kind, job in jobs.items()}
    assert found == dict.fromkeys(DAMAGED, ("failed", "bad_source")), {k: j.error_message for k, j in jobs.items()}
    for kind, (_, words) in DAMAGED.items():
        assert words in (jobs[kind].error_message or ""), kind
    assert not VideoStore.objects.exists()


def test_every_damaged_file_is_refused_with_its_class(
    start_worker: StartWorker, origin: Origin, videos: Videos
) -> None:
    content = videos.mp4.read_bytes()
    jobs = {
        "short": add(origin.put("/short.mp4", content[: len(content) // 2]), 1, max_attempts=1),
        "lying": add(origin.put("/lying.mp4", content), 2, max_attempts=1),
        "page": add(origin.put("/page.mp4", b""), 3, max_attempts=1),
        "sound": add(origin.put("/sound.mp4", videos.audio.read_bytes()), 4, max_attempts=1),
    }
    origin.misbehave("/lying.mp4", Body(content=content, length=len(content) + 5000))
    origin.misbehave("/page.mp4", Body(content=b"<!doctype html><p>Gone", content_type="video/mp4"))
    start_worker(MAX_CONCURRENT="3")
    eventually(lambda: ended(jobs), 120)
    assert {kind: (job.status, job.failure_class) for kind, job in jobs.items()} == {
        "short": ("failed", "bad_source"),
        "lying": ("failed", "transient"),
        "page": ("failed", "bad_source"),
        "sound": ("failed", "bad_source"),
    }
