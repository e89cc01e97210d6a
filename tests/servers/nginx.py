"""A real nginx on loopback with the configuration that we ship (deploy/nginx/), in front of a site."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

from archive_site.process_tree import kill_trees

SHIPPED = Path(settings.BASE_DIR) / "deploy" / "nginx"
PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Nginx:
    """`with Nginx(folder, site.port) as nginx:` runs until the end of the block; `base_url` is its URL.

    `trusted` is a file of certificates that upstreams' are checked with. Three lines of the shipped configuration are
    changed: those that it marks as the operator's own.
    """

    def __init__(self, folder: Path, site_port: int, trusted: Path | None = None) -> None:
        self._folder = folder
        self._site_port = site_port
        self._trusted = trusted
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / "nginx.log"

    def url(self, path: str) -> str:
        """The URL of a path that begins with a slash."""
        return self.base_url + path

    def said(self) -> str:
        """Its logs of errors and of requests."""
        logs = (self.log_file, self._folder / "access.log")
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs if log.exists())

    def pid(self) -> int:
        """Of its main process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        assert PROGRAM is not None
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-c", str(self._folder / "nginx.conf"), "-g", "daemon off;"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._wait_until_it_serves(self._process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            kill_trees([self._process.pid])
            self._process.wait()

    def _write_configuration(self) -> None:
        for path in SHIPPED.glob("reelkeep_*.conf"):
            shutil.copy(path, self._folder)
        text = (SHIPPED / "reelkeep.conf").read_text(encoding="utf-8")
        for shipped, ours in {
            "server 127.0.0.1:7860;": f"server 127.0.0.1:{self._site_port};",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "/etc/ssl/certs/ca-certificates.crt": str(self._trusted or "/etc/ssl/certs/ca-certificates.crt"),
        }.items():
            assert text.count(shipped) == 1, shipped
            text = text.replace(shipped, ours)
        (self._folder / "reelkeep.conf").write_text(text, encoding="utf-8")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"    {kind}_temp_path {self._folder / kind};\n" for kind in kinds)
        user = "user root;\n" if os.geteuid() == 0 else ""  # folders of tests are their owner's only
        (self._folder / "nginx.conf").write_text(
            f"{user}worker_processes 1;\npid {self._folder / 'pid'};\nerror_log stderr info;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{\n{temporary}"
            f"    access_log {self._folder / 'access.log'};\n    include reelkeep.conf;\n}}\n",
            encoding="utf-8",
        )

    def _wait_until_it_serves(self, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.__exit__(None, None, None)
        raise AssertionError(f"nginx did not start:\n{self.said()}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
