"""What lies beside a video, on its page."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from storage_app.models import Sidecar, VideoStore
from storage_app.naming import VideoKey
from tests.admin.conftest import text
from tests.archive import KEY, archive, copy_of, make_account

STORE = "/admin/storage_app/videostore/"
VTT = b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello <b>\n"


@pytest.fixture
def subtitles(db: None, tmp_path: Path) -> Sidecar:
    account = make_account(tmp_path)
    video = archive(KEY, [account])
    VideoStore.objects.filter(pk=video.pk).update(title="The first lecture")
    other = archive(VideoKey(7, 1, "x", None), [account], VTT)  # its file stands in for one that lies beside the video
    assert other.stored_file is not None
    other.stored_file.content_type = "text/vtt; charset=utf-8"
    other.stored_file.save()
    return Sidecar.objects.create(
        video=video, stored_file=other.stored_file, kind="subtitles", language="de", name="Deutsch"
    )


def test_a_videos_page_shows_its_title_and_leads_to_its_subtitles(operator: Client, subtitles: Sidecar) -> None:
    page = operator.get(f"{STORE}{subtitles.video_id}/change/")
    assert "The first lecture" in text(page)
    link = f"/admin/storage_app/sidecar/{subtitles.pk}/file"
    assert f'<a href="{link}">Subtitles · de · Deutsch</a>' in page.content.decode()
    answer = operator.get(link)
    assert (answer.content, answer["Content-Type"]) == (VTT, "text/vtt; charset=utf-8")
    assert (answer["X-Content-Type-Options"], "sandbox" in answer["Content-Security-Policy"]) == ("nosniff", True)


def test_a_file_of_which_no_copy_is_left_is_not_found(operator: Client, subtitles: Sidecar) -> None:
    for replica in subtitles.stored_file.replicas.select_related("account"):
        Path(copy_of(subtitles.stored_file.videos.get(), replica.account)).unlink()
    assert operator.get(f"/admin/storage_app/sidecar/{subtitles.pk}/file").status_code == 404


def test_strangers_see_nothing_of_it(client: Client, subtitles: Sidecar) -> None:
    assert client.get(f"/admin/storage_app/sidecar/{subtitles.pk}/file").status_code == 302
