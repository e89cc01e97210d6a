"""nginx: the origin of everything that is proxied, and the measure of what a server can do at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.playing.processes import ServerProcess, free_port, serving

_CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    types {{ video/mp4 mp4; }}
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    {upstream}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ {location} }}
    }}
}}
"""


def missing() -> bool:
    """Whether there is none on this machine."""
    return shutil.which("nginx") is None


@contextmanager
def files(folder: Path, root: Path, core: int) -> Iterator[ServerProcess]:
    """Serves the files of `root` by sendfile."""
    with _running(folder, core, upstream="", location=f"root {root};") as server:
        yield server


@contextmanager
def proxy(folder: Path, target: int, core: int) -> Iterator[ServerProcess]:
    """Passes everything on to a port of loopback, with nothing written to disk in between."""
    upstream = f"upstream origin {{ server 127.0.0.1:{target}; keepalive 64; }}"
    location = (
        'proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0;'
        # Twice as fast as with the buffers that it has by itself.
        " proxy_buffer_size 16k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k;"
    )
    with _running(folder, core, upstream=upstream, location=location) as server:
        yield server


@contextmanager
def _running(folder: Path, core: int, *, upstream: str, location: str) -> Iterator[ServerProcess]:
    folder.mkdir(parents=True)
    port, user = free_port(), "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(user=user, folder=folder, port=port, upstream=upstream, location=location))
    with serving(["nginx", "-c", str(config)], port, folder / "out.log", core=core) as server:
        yield server
