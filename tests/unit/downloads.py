"""Downloading a path of the origin, and looking at what is left afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from archive_site.safe_http import Policy
from queue_app.downloaders import Downloaded, Limits, Progress, ProgressSink, Source, download
from tests.servers.origin import Origin

Get = Callable[..., Downloaded]


@dataclass
class Getter:
    """Calls `download` for one folder, again and again if wanted; each end must leave what `base` promises."""

    origin: Origin
    folder: Path
    limits: Limits

    def __call__(
        self,
        path: str,
        limits: Limits | None = None,
        progress: ProgressSink | None = None,
        resolution: str | None = None,
    ) -> Downloaded:
        failure: BaseException | None = None
        try:
            return download(
                Source(self.origin.url(path), resolution),
                self.folder,
                policy=Policy(frozenset({self.origin.host_port}), connect_timeout=2, read_timeout=0.5),
                limits=limits or self.limits,
                progress=progress or Progress(),
            )
        except BaseException as error:
            failure = error
            raise
        finally:
            assert left_as_promised(self.folder, failure), list(self.folder.iterdir())


def left_as_promised(folder: Path, failure: BaseException | None) -> bool:
    """Does the folder hold what `downloaders.base` says after this end (None: success)?"""
    names = {path.name for path in folder.iterdir()}
    if getattr(failure, "permanent", False):
        return names == set()
    streamed = {name for name in names if name.startswith("stream-")}
    record = names - streamed
    if failure is None:
        return record == {"stream.json"} if streamed else len(names) == 2 and "direct.resume.json" in names
    return record in (set(), {"direct.part", "direct.resume.json"}, {"stream.json"})
