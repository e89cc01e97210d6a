"""GET /watch, /captions and /pictures."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from storage_app.api.captions import MAX_BYTES
from storage_app.credentials import seal
from storage_app.models import AccountKind, Sidecar, SidecarKind, StorageAccount, StoredFile, VideoStore
from storage_app.naming import VideoKey
from tests.archive import KEY, archive, make_account
from tests.browser.watching import VTT, put_beside
from tests.servers.origin import Origin

LOWER = VideoKey(KEY.mal_id, KEY.episode, KEY.provider, "480p")
HIGHER = VideoKey(KEY.mal_id, KEY.episode, KEY.provider, "1080p")
OTHER = VideoKey(KEY.mal_id, KEY.episode + 1, KEY.provider, "720p")
JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
def account(db: None, tmp_path: Path) -> StorageAccount:
    return make_account(tmp_path)


@pytest.fixture
def video(account: StorageAccount) -> VideoStore:
    return archive(KEY, [account])


def captions(video: VideoStore, account: StorageAccount, content: bytes = VTT, language: str = "en") -> StoredFile:
    kind = SidecarKind.SUBTITLES
    return put_beside(video, account, f"{language}.vtt", content, kind, "text/vtt; charset=utf-8", language)


def page(key: VideoKey = KEY, query: str = "") -> Any:
    return Client().get(key.watch_path() + query)


def config(answer: Any) -> dict[str, Any]:
    found = re.search(r'<script id="player-config" type="application/json">(.*?)</script>', answer.content.decode())
    assert found
    given: dict[str, Any] = json.loads(found[1])
    return given


def test_the_page_plays_the_videos_one_url(video: VideoStore) -> None:
    answer = page()
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert config(answer)["stream"] == KEY.stream_path()


@pytest.mark.django_db
def test_the_page_is_there_before_the_video_is() -> None:
    answer = page()
    assert (answer.status_code, config(answer)["download"]) == (200, None)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/watch/x/1/animasu/720p", "/watch/1/-1/animasu", "/watch/1/1/%00/720p"])
def test_no_video_has_such_an_address(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 404
    assert b"No such video" in answer.content


def test_a_worker_at_the_edge_streams_and_the_policy_lets_it(video: VideoStore, settings: Any) -> None:
    settings.CLOUDFLARE_WORKERS_URL = "https://edge.example"
    answer = page()
    assert config(answer)["stream"] == f"https://edge.example{KEY.stream_path()}"
    assert "media-src 'self' blob: https://edge.example;" in answer["Content-Security-Policy"]


def test_a_worker_below_a_path_streams_and_the_policy_names_its_host_alone(video: VideoStore, settings: Any) -> None:
    settings.CLOUDFLARE_WORKERS_URL = "https://edge.example:8443/videos"
    answer = page()
    assert config(answer)["stream"] == f"https://edge.example:8443/videos{KEY.stream_path()}"
    assert "media-src 'self' blob: https://edge.example:8443;" in answer["Content-Security-Policy"]
    assert "connect-src 'self' https://edge.example:8443;" in answer["Content-Security-Policy"]


def test_nothing_but_our_own_scripts_may_run_and_nobody_else_may_frame_it(video: VideoStore) -> None:
    answer = page()
    rules = dict(rule.split(" ", 1) for rule in answer["Content-Security-Policy"].split("; "))
    assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
    assert (rules["frame-ancestors"], answer["X-Frame-Options"]) == ("'self'", "SAMEORIGIN")
    assert not re.search(rb"<script(?![^>]*(src=|application/json))|<style| style=| on\w+=", answer.content)


@pytest.mark.django_db
def test_names_from_outside_stay_text(account: StorageAccount) -> None:
    hostile = VideoKey(1, 1, "<b>'\"<script>", None)
    archive(hostile, [account])
    VideoStore.objects.update(title="</script><script>alert(1)</script>")
    answer = page(hostile)
    assert b"<script>alert" not in answer.content
    assert config(answer)["place"] == "1/1/<b>'\"<script>"


def test_all_resolutions_of_the_episode_are_offered_the_highest_first(
    video: VideoStore, account: StorageAccount
) -> None:
    for key in (LOWER, HIGHER, OTHER):
        archive(key, [account])
    versions = config(page())["versions"]
    assert [one["label"] for one in versions] == ["1080p", "720p", "480p"]
    assert [one["watch"] for one in versions] == [key.watch_path() for key in (HIGHER, KEY, LOWER)]


def test_captions_are_tracks_and_those_of_another_resolution_do_as_well(
    video: VideoStore, account: StorageAccount
) -> None:
    file = captions(archive(LOWER, [account]), account)
    track = f'<track kind="subtitles" src="/captions/{file.pk}.vtt" srclang="en" label="">'
    assert track in page().content.decode()
    own = captions(video, account, VTT + b"\n", "id")
    text = page().content.decode()
    assert f"/captions/{own.pk}.vtt" in text
    assert track not in text


def test_the_embedded_page_is_the_player_alone(video: VideoStore) -> None:
    assert b"<h1>" in page().content
    assert b"<h1>" not in page(query="?embed=1").content


def test_captions_are_served_to_any_site(video: VideoStore, account: StorageAccount) -> None:
    file = captions(video, account)
    answer = Client().get(f"/captions/{file.pk}.vtt")
    assert (answer.status_code, answer.content) == (200, VTT)
    assert answer["Content-Type"] == "text/vtt; charset=utf-8"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["X-Content-Type-Options"] == "nosniff"
    again = Client().get(f"/captions/{file.pk}.vtt", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_captions_have_headers_and_a_preflight(video: VideoStore, account: StorageAccount) -> None:
    url = f"/captions/{captions(video, account).pk}.vtt"
    answer = Client().head(url)
    assert (answer.status_code, answer["Content-Length"], answer.content) == (200, str(len(VTT)), b"")
    preflight = Client().options(url)
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (204, "*")


@pytest.mark.django_db
def test_for_a_head_nothing_is_read(video: VideoStore, account: StorageAccount, origin: Origin) -> None:
    file = captions(video, account)
    bucket = StorageAccount.objects.create(
        index=7, kind=AccountKind.S3, username="s3", endpoint=origin.base_url, bucket="b", access_key="k",
        secret=seal("s"),
    )  # fmt: skip
    file.replicas.update(account=bucket)
    answer = Client().head(f"/captions/{file.pk}.vtt")
    assert (answer.status_code, answer["Content-Length"], answer.content) == (200, str(file.size), b"")
    assert origin.requests == []


def test_a_head_says_when_no_copy_is_there(video: VideoStore, account: StorageAccount) -> None:
    file = captions(video, account)
    (Path(account.root) / file.repo / file.path).write_bytes(b"shorter")
    answer = Client().head(f"/captions/{file.pk}.vtt")
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")


def test_captions_come_from_the_copy_that_is_left(video: VideoStore, account: StorageAccount, tmp_path: Path) -> None:
    file = captions(video, account)
    gone = make_account(tmp_path, 2)
    file.replicas.create(account=gone)
    video.hf_account = gone.index
    video.save()
    assert Client().get(f"/captions/{file.pk}.vtt").content == VTT


def test_captions_without_a_copy_say_so(video: VideoStore, account: StorageAccount) -> None:
    file = captions(video, account)
    file.replicas.all().delete()
    answer = Client().get(f"/captions/{file.pk}.vtt")
    assert (answer.status_code, answer.json()["error"], answer["Retry-After"]) == (503, "no_copy", "30")


def test_captions_that_are_too_large_are_not_read(video: VideoStore, account: StorageAccount) -> None:
    file = captions(video, account)
    StoredFile.objects.filter(pk=file.pk).update(size=MAX_BYTES + 1)
    answer = Client().get(f"/captions/{file.pk}.vtt")
    assert (answer.status_code, answer.json()["error"]) == (404, "too_large")


def test_only_captions_are_served_as_captions_and_only_pictures_as_pictures(
    video: VideoStore, account: StorageAccount
) -> None:
    assert video.stored_file
    file = captions(video, account)
    picture = put_beside(video, account, "p.jpg", JPEG, SidecarKind.THUMBNAIL, "image/jpeg")
    Sidecar.objects.filter(stored_file=picture).update(name="<b>")
    statuses = {
        path: Client().get(path).status_code
        for path in (
            f"/captions/{video.stored_file.pk}.vtt", f"/captions/{picture.pk}.vtt", f"/captions/{uuid.uuid4()}.vtt",
            f"/pictures/{file.pk}", f"/pictures/{video.stored_file.pk}",
        )
    }  # fmt: skip
    assert set(statuses.values()) == {404}
    answer = Client().get(f"/pictures/{picture.pk}")
    assert (answer.status_code, answer["Content-Type"], answer.content) == (200, "image/jpeg", JPEG)


def test_a_picture_that_is_no_picture_is_not_served(video: VideoStore, account: StorageAccount) -> None:
    file = put_beside(video, account, "x.svg", b"<svg/>", SidecarKind.THUMBNAIL, "image/svg+xml")
    assert Client().get(f"/pictures/{file.pk}").status_code == 404
    assert f"/pictures/{file.pk}" not in page().content.decode()


def test_a_storyboard_needs_its_index_and_its_pictures(video: VideoStore, account: StorageAccount) -> None:
    kind = SidecarKind.STORYBOARD
    index = put_beside(video, account, "board.vtt", b"WEBVTT\n", kind, "text/vtt")
    assert config(page())["storyboard"] is None
    picture = put_beside(video, account, "board-1.jpg", JPEG, kind, "image/jpeg")
    assert config(page())["storyboard"] == {
        "url": f"/captions/{index.pk}.vtt",
        "pictures": {"board-1.jpg": f"/pictures/{picture.pk}"},
    }
