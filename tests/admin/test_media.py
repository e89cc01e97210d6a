"""What a video's page says of its streams and its proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from storage_app.models import StoredFile, VideoStore
from tests.admin.conftest import text
from tests.archive import KEY, archive, make_account

VIDEO = {"index": 0, "kind": "video", "codec": "h264", "profile": "High", "width": 1280, "height": 720, "fps": 25.0}
SOUND = {
    "index": 1,
    "kind": "audio",
    "codec": "aac",
    "channels": 2,
    "sample_rate": 48000,
    "language": "deu",
    "bit_rate": 128000,
}
PROOF = {"mode": "sampled", "seconds": 1.25, "decoded": {"pictures": 200}, "duration": 61.5, "expected_duration": 61.4,
         "warnings": ["No data for 0.7 s from 0:10 on in stream 0."], "not_decoded": [1]}  # fmt: skip


@pytest.fixture
def page(operator: Client, db: None, tmp_path: Path) -> Any:
    video = archive(KEY, [make_account(tmp_path)])

    def look(**changes: object) -> str:
        StoredFile.objects.update(**changes)
        return text(operator.get(f"/admin/storage_app/videostore/{VideoStore.objects.get(pk=video.pk).pk}/change/"))

    return look


def test_streams_are_listed_with_what_tells_them_apart(page: Any) -> None:
    found = page(media={"container": "mp4", "streams": [VIDEO, SOUND]})
    assert "0 video h264 High 1280×720, 25 fps" in found
    assert "1 audio aac 2 channels, 48000 Hz" in found
    assert "15.6 KB/s deu" in found


def test_the_proof_is_told_in_sentences(page: Any) -> None:
    found = page(proof=PROOF)
    assert "samples of it decoded, 200 pictures, in 1.2 s." in found
    assert "The source announced 61.4 s, the file has 61.5 s." in found
    assert "No data for 0.7 s from 0:10 on in stream 0." in found
    assert "Stream 1 was not decoded" in found


@pytest.mark.parametrize("value", [None, {}, {"mode": "later"}, {"streams": [{}]}])
def test_what_an_older_or_newer_release_wrote_is_shown_as_far_as_it_goes(page: Any, value: Any) -> None:
    assert "Record" in page(proof=value)
    assert "Record" in page(media=value or {})
