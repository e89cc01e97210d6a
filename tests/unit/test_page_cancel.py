"""A job that is taken away lets go of what its page names at once, however silent the source."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from queue_app.failures import Cancelled
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.unit.page_downloads import JPEG, Pages

TRACK = '<track kind="subtitles" srclang="en" src="/extra">'
HTML = {
    "thumbnail": '<video src="/film.mp4" poster="/extra"></video>',
    "subtitles": f'<video src="/film.mp4">{TRACK}</video>',
}


@pytest.mark.parametrize("html", HTML.values(), ids=HTML.keys())
def test_a_silent_source_does_not_hold_up_cancelling(origin: Origin, tmp_path: Path, videos: Videos, html: str) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    origin.put("/film.mp4", videos.mp4.read_bytes())
    origin.put("/extra", JPEG * 100)
    origin.misbehave("/extra", servers.Stall(after=100))
    asked: list[int] = []

    def cancel(_done: int, _total: int | None) -> None:
        if origin.count("/extra"):
            asked.append(1)
            # The source is silent for good, so only a look at the clock asks so often.
            if len(asked) == 5:
                raise Cancelled("test")

    pages = Pages(origin, folder)
    with pytest.raises(Cancelled):
        pages.download(pages.put(html), progress=cancel)
    assert not [thread for thread in threading.enumerate() if _outlives(thread)]


def _outlives(thread: threading.Thread) -> bool:
    """Is it a fetch that goes on, although the policy's read time-out is far away?"""
    if thread.name == "page-extra":
        thread.join(1)
    return thread.name == "page-extra" and thread.is_alive()
