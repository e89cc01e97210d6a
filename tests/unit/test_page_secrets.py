"""What a page's URL carries beside its path appears in no log and in no failure."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from queue_app.downloaders import Progress, child
from queue_app.failures import Transient
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.unit.page_downloads import Pages

QUERY = "?token=secret&x=1#secret"


@pytest.fixture
def pages(origin: Origin, tmp_path: Path, videos: Videos, caplog: pytest.LogCaptureFixture) -> Pages:
    """The origin with a film at /film.mp4. Everything is logged."""
    folder = tmp_path / "job"
    folder.mkdir()
    origin.put("/film.mp4", videos.mp4.read_bytes())
    caplog.set_level(logging.INFO)
    return Pages(origin, folder)


def complain(complaint: str, before: str = "") -> None:
    request = {"url": "http://me:secret@a/p?token=secret", "complaint": complaint, "before": before}
    with pytest.raises(child.ChildFailed) as caught:
        child.ask("tests.unit.loud_child", request, seconds=30, memory=2**30, progress=Progress())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "complaint",
    [
        "404 for http://a/p?token=secret&q=1", "Page.goto: navigating to \"http://a/p#secret\", waiting",
        "Max retries exceeded with url: /p?token=secret (Caused by x)", "http://me:secret@a/p", "//secret@a/p",
        "http://b/?u=http%3A%2F%2Fa%2Fp%3Ftoken%3Dsecret", "http%3A%2F%2Fa%2Fp%3Ftoken%3Dsecret",
        "{'Cookie': 'pass=secret; b=secret'}", "Proxy-Authorization: Basic secret", "{'query': 'token=secret'}",
    ],
)  # fmt: skip
def test_the_complaints_of_a_child_are_logged_without_secrets(caplog: pytest.LogCaptureFixture, complaint: str) -> None:
    complain(f"It failed: {complaint}")
    assert "RuntimeError: It failed: " in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("between", ["x", "x\n"])
def test_a_log_line_of_a_child_is_bounded_and_begins_with_a_whole_one(
    caplog: pytest.LogCaptureFixture, between: str
) -> None:
    complain("the end", before="http://a/p?" + "secret" * 11_000 + between * 2000)
    assert "secret" not in caplog.text
    assert "RuntimeError: the end" in caplog.text
    assert len(caplog.records[0].getMessage()) < 4500


def test_a_video_from_a_page_with_a_token_is_found_without_a_trace(
    pages: Pages, caplog: pytest.LogCaptureFixture
) -> None:
    video = f'<video src="/film.mp4{QUERY}" poster="/missing.jpg{QUERY}"></video>'
    assert pages.download(pages.put(video) + QUERY).page
    assert "missing.jpg is left out" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("html", ["<p>nothing", f'<video src="/decoy.mp4{QUERY}"></video>'])
def test_a_page_that_fails_leaves_no_token(pages: Pages, caplog: pytest.LogCaptureFixture, html: str) -> None:
    pages.origin.misbehave("/decoy.mp4", servers.Body(content=b"<html>Log in first</html>"))
    with pytest.raises(Transient) as caught:
        pages.download(pages.put(html) + QUERY)
    assert "secret" not in f"{caplog.text} {caught.value} {caught.value.details}"


def test_a_browser_that_crashes_leaves_no_token(pages: Pages, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    page = pages.put("<p>nothing") + QUERY
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\necho 'cannot open {page} for you' >&2\nexit 1\n")
    program.chmod(0o755)
    pages.browser = str(program)
    pytest.importorskip("playwright")
    with pytest.raises(Transient, match="broke off") as caught:
        pages.download(page)
    assert "cannot open http://" in caplog.text
    assert "secret" not in f"{caplog.text} {caught.value} {caught.value.details}"
