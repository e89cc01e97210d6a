"""The Cloudflare Worker on workerd, the program that runs Workers at Cloudflare too.

`make .venv/edge.ok` installs it. Its configuration is made from `cloudflare_worker/wrangler.toml`: the same modules,
compatibility date and flags, variables and network; secrets come from the environment, as at Cloudflare.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
from django.conf import settings

from storage_app.playback.urls import signer

HostPort = tuple[str, int]

SOURCE = Path(__file__).parents[2] / "cloudflare_worker"
PUBLIC_ONLY = ("public",)
"""The network of production: nothing private, whatever the code would let pass."""
SECRETS = ("PROXY_SIGNING_KEY", "PROXY_SIGNING_KEYS_OLD", "HF_FILE_SALT", "EDGE_TOKEN")

_SERVE = """\
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = [{network}], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    {modules},
  ],
  compatibilityDate = {date},
  compatibilityFlags = [{flags}],
  bindings = [
    {bindings},
  ],
);
"""


def program() -> Path | None:
    """Where workerd is; None when it is not installed or not for this machine."""
    machine = {"x86_64": "64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    folder = Path(sys.prefix) / "edge/node_modules/@cloudflare" / f"workerd-{sys.platform}-{machine}"
    found = folder / "bin/workerd"
    return found if found.is_file() else None


class Edge:
    """`with Edge(folder, allow=[origin.host_port]) as edge:` runs until the end of the block; `base_url` is its URL.

    `allow` are the origins on loopback that it may fetch from, and loopback is part of its network, unless `network`
    says otherwise. Further words are variables or secrets of the Worker: `Edge(folder, STORE_URL=site.base_url)`.
    Signing key and token are those of the test process.
    """

    def __init__(
        self,
        folder: Path,
        allow: Iterable[HostPort] = (),
        *,
        network: Iterable[str] = (*PUBLIC_ONLY, "127.0.0.1/32"),
        **variables: str,
    ) -> None:
        self.folder = folder
        self.log_file = folder / "workerd.log"
        self.network = tuple(network)
        self.variables = _variables(allow, variables)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        """The URL of a path that begins with a slash."""
        return self.base_url + path

    def proxied(self, url: str) -> str:
        """A signed link by which a player gets this upstream URL."""
        return self.url(f"/proxy?{signer().exact(url)}")

    def unsigned(self, url: str) -> str:
        """The same, with nothing but the URL."""
        return self.url(f"/proxy?url={quote(url, safe='')}")

    def said(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def process(self) -> psutil.Process:
        """The running workerd."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def resident_bytes(self) -> int:
        """Its memory (RSS)."""
        return int(self.process.memory_info().rss)

    def cpu_seconds(self) -> float:
        """The processor time that it has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def __enter__(self) -> Self:
        workerd = program()
        assert workerd is not None, "workerd is not installed: make .venv/edge.ok"
        config = self._write()
        reading, writing = os.pipe()
        environment = {name: self.variables[name] for name in SECRETS if name in self.variables}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [workerd, "serve", config, f"--control-fd={writing}"],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing],
            )  # fmt: skip
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as control:
            # One line of JSON a socket; none at all when it doesn't start.
            line = control.readline()
        if not line:
            self.__exit__(None, None, None)
            raise AssertionError(f"workerd did not start:\n{self.said()}")
        self.port = int(json.loads(line)["port"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _write(self) -> Path:
        """The configuration, beside a copy of the modules: they are embedded by their relative names."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(SOURCE / "src", self.folder / "src", dirs_exist_ok=True)
        wrangler = tomllib.loads((SOURCE / "wrangler.toml").read_text(encoding="utf-8"))
        path = self.folder / "worker.capnp"
        text = _SERVE.format(
            network=", ".join(map(_text, self.network)),
            modules=",\n    ".join(_modules(self.folder, wrangler["main"])),
            date=_text(wrangler["compatibility_date"]),
            flags=", ".join(map(_text, wrangler.get("compatibility_flags", []))),
            bindings=",\n    ".join(_bindings(wrangler.get("vars", {}) | self.variables)),
        )
        path.write_text(text, encoding="utf-8")
        return path


def _variables(allow: Iterable[HostPort], more: Mapping[str, str]) -> dict[str, str]:
    known = {
        "PROXY_SIGNING_KEY": settings.PROXY_SIGNING_KEY,
        "EDGE_TOKEN": getattr(settings, "EDGE_TOKEN", "") or settings.API_TOKEN,
        "FETCH_ALLOW_HOSTS": ",".join(f"{host}:{port}" for host, port in allow),
    }
    return {name: value for name, value in (known | dict(more)).items() if value}


def _modules(folder: Path, main: str) -> list[str]:
    """The entry point first, as workerd wants it."""
    others = sorted(str(path.relative_to(folder)) for path in (folder / "src").rglob("*.js"))
    names = [main, *(name for name in others if name != main)]
    return [f"(name = {_text(name)}, esModule = embed {_text(name)})" for name in names]


def _bindings(variables: Mapping[str, str]) -> list[str]:
    return [
        f"(name = {_text(name)}, {f'fromEnvironment = {_text(name)}' if name in SECRETS else f'text = {_text(value)}'})"
        for name, value in variables.items()
    ]


def _text(value: str) -> str:
    """A string of Cap'n Proto's text form, which escapes as C does; ours hold nothing that JSON writes otherwise."""
    return json.dumps(value, ensure_ascii=False)
