"""Who serves the bytes, and where a viewer gets them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from benchmarks.playing import nginx
from benchmarks.playing.processes import ROOT, ServerProcess, free_port, serving
from benchmarks.playing.reelkeep import Installation

MEDIAFLOW = ROOT / ".venv" / "mediaflow" / "bin" / "uvicorn"
_PASSWORD = "bench"
UPSTREAM, FILE = "upstream", "file"


@dataclass
class Scene:
    """What there is to serve, and from where."""

    folder: Path
    file: Path
    origin: ServerProcess
    reelkeep: Installation
    core: int
    """The processor that the contender may use."""

    @property
    def upstream(self) -> str:
        """The file's URL at the origin."""
        return f"http://127.0.0.1:{self.origin.port}/{self.file.name}"

    def room(self, name: str) -> Path:
        """A folder for a turn, not made yet."""
        number = len(list(self.folder.glob(f"{name}-*")))
        return self.folder / f"{name}-{number}"


@dataclass
class Running:
    """A contender during its turn."""

    url: str
    cpu_seconds: Callable[[], float]


@dataclass(frozen=True)
class Contender:
    """A way of serving."""

    key: str
    name: str
    kind: str
    """What it serves: what lies upstream, or a file of its own."""
    start: Callable[[Scene], AbstractContextManager[Running]]
    lacks: Callable[[], str] = lambda: ""
    """What has to be installed for it."""


@contextmanager
def _nginx_file(scene: Scene) -> Iterator[Running]:
    with nginx.files(scene.room("nginx-file"), scene.file.parent, scene.core) as server:
        yield Running(f"http://127.0.0.1:{server.port}/{scene.file.name}", server.cpu_seconds)


@contextmanager
def _nginx_proxy(scene: Scene) -> Iterator[Running]:
    with nginx.proxy(scene.room("nginx-proxy"), scene.origin.port, scene.core) as server:
        yield Running(f"http://127.0.0.1:{server.port}/{scene.file.name}", server.cpu_seconds)


@contextmanager
def _mediaflow(scene: Scene) -> Iterator[Running]:
    port, room = free_port(), scene.room("mediaflow")
    room.mkdir()
    command = [str(MEDIAFLOW), "mediaflow_proxy.main:app", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log"]
    environment = {"API_PASSWORD": _PASSWORD, "LOG_LEVEL": "WARNING"}
    with serving(command, port, room / "out.log", core=scene.core, environment=environment) as server:
        target = f"/proxy/stream?api_password={_PASSWORD}&d={quote(scene.upstream, safe='')}"
        yield Running(f"http://127.0.0.1:{port}{target}", server.cpu_seconds)


@contextmanager
def _ours_proxy(scene: Scene) -> Iterator[Running]:
    with scene.reelkeep.web(scene.core) as server:
        yield Running(f"http://127.0.0.1:{server.port}{scene.reelkeep.proxy}", server.cpu_seconds)


@contextmanager
def _ours_stream(scene: Scene) -> Iterator[Running]:
    with scene.reelkeep.web(scene.core) as server:
        yield Running(f"http://127.0.0.1:{server.port}{scene.reelkeep.stream}", server.cpu_seconds)


@contextmanager
def _behind_nginx(scene: Scene, path: str) -> Iterator[Running]:
    with scene.reelkeep.web(scene.core, X_ACCEL="true") as web:
        room = scene.room("front")
        with scene.reelkeep.front(scene.core, "nginx", str(room), str(web.port)) as front:
            yield Running(f"http://127.0.0.1:{front.port}{path}", lambda: web.cpu_seconds() + front.cpu_seconds())


def _accel_proxy(scene: Scene) -> AbstractContextManager[Running]:
    return _behind_nginx(scene, scene.reelkeep.proxy)


def _accel_stream(scene: Scene) -> AbstractContextManager[Running]:
    return _behind_nginx(scene, scene.reelkeep.stream)


@contextmanager
def _worker(scene: Scene) -> Iterator[Running]:
    nowhere = "http://127.0.0.1:9"  # what is proxied isn't looked up
    room = scene.room("edge")
    with scene.reelkeep.front(scene.core, "edge", str(room), str(scene.origin.port), nowhere) as edge:
        yield Running(f"http://127.0.0.1:{edge.port}{scene.reelkeep.proxy}", edge.cpu_seconds)


def _lacks_workerd() -> str:
    found = list((ROOT / ".venv" / "edge" / "node_modules" / "@cloudflare").glob("workerd-*/bin/workerd"))
    return "" if found else "workerd (make .venv/edge.ok)"


def _lacks_nginx() -> str:
    return "nginx" if nginx.missing() else ""


def _lacks_mediaflow() -> str:
    return "" if os.access(MEDIAFLOW, os.X_OK) else "mediaflow-proxy (make .venv/mediaflow.ok)"


NGINX_FILE = Contender("nginx-file", "nginx, sendfile", FILE, _nginx_file, _lacks_nginx)
NGINX_PROXY = Contender("nginx-proxy", "nginx, proxy_pass", UPSTREAM, _nginx_proxy, _lacks_nginx)
MEDIAFLOW_PROXY = Contender("mediaflow", "mediaflow-proxy 2.4.9", UPSTREAM, _mediaflow, _lacks_mediaflow)
OURS_PROXY = Contender("proxy", "Reelkeep, /proxy", UPSTREAM, _ours_proxy)
OURS_STREAM = Contender("stream", "Reelkeep, /stream from a folder", FILE, _ours_stream)
ACCEL_PROXY = Contender("accel-proxy", "Reelkeep, /proxy by X-Accel", UPSTREAM, _accel_proxy, _lacks_nginx)
ACCEL_STREAM = Contender("accel-stream", "Reelkeep, /stream by X-Accel", FILE, _accel_stream, _lacks_nginx)
WORKER = Contender("worker", "Reelkeep, Worker on workerd", UPSTREAM, _worker, _lacks_workerd)
CONTENDERS = (
    OURS_PROXY,
    ACCEL_PROXY,
    WORKER,
    MEDIAFLOW_PROXY,
    NGINX_PROXY,
    OURS_STREAM,
    ACCEL_STREAM,
    NGINX_FILE,
)
