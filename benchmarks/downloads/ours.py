"""Our side, a process of its own: `python -m benchmarks.downloads.ours URL FOLDER OUTPUT CONNECTIONS`.

What the pipeline does from the URL to one MP4, with its defaults, without the proof that no peer has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from archive_site.safe_http import Policy
from queue_app.downloaders import Downloaded, Limits, Progress, Source, download
from queue_app.failures import Failure
from queue_app.media.ffmpeg import find_tools
from queue_app.media.remux import needs_remux, remux_to_mp4

_MOST_BYTES = 20 * 1024**3


def fetch(url: str, folder: Path, output: Path, connections: int) -> None:
    """Download `url` into `folder`, going on with what lies there, and leave the MP4 at `output`."""
    parts = urlsplit(url)
    policy = Policy(frozenset({(parts.hostname or "", parts.port or 80)}))
    limits = Limits(max_bytes=_MOST_BYTES, connections=connections, hls_connections=connections, tools=find_tools())
    fetched = download(Source(url), folder, policy=policy, limits=limits, progress=Progress())
    _make_mp4(fetched, output)


def _make_mp4(fetched: Downloaded, output: Path) -> None:
    """As `queue_app.download_stage` does, before it proves."""
    if fetched.mp4:
        fetched.mp4.replace(output)
        fetched.path.unlink(missing_ok=True)
    elif needs_remux(fetched):
        remux_to_mp4(fetched.path, output, container=fetched.container)
        fetched.path.unlink(missing_ok=True)
    else:
        fetched.path.replace(output)


def main() -> int:
    """The process."""
    url, folder, output, connections = sys.argv[1:]
    try:
        fetch(url, Path(folder), Path(output), int(connections))
    except Failure as failure:
        sys.stderr.write(f"{type(failure).__name__}: {failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
