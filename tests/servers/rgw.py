"""A real S3 server for the tests: Ceph's object gateway, with one monitor and one store in memory, on loopback.

It needs the packages `radosgw`, `ceph-mon`, `ceph-osd` and `ceph-common` (`make .venv/s3server.ok`), starts in about
three seconds, and holds some 130 MB of memory beside what is stored.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
DOMAIN = "s3.test"
"""A bucket may also be named in the Host header: `<bucket>.s3.test`."""
START_SECONDS = 60
_ACCOUNT = "ceph"

_CONFIG = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon_port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms bind ipv6 = false
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
keyring = {folder}/keyring
run dir = {folder}
crash dir = {folder}
log file = {folder}/$name.log
admin socket =
pid file =
mon data = {folder}/mon
mon data avail warn = 1
mon data avail crit = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
paxos propose interval = 0.01
paxos min wait = 0
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class update on start = false
rgw data = {folder}
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw dns name = {domain}
rgw thread pool size = 32
rgw override bucket index max shards = 1
rgw max listing results = 50
rgw bucket quota ttl = 0
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = tests-key={kms_key}
"""


def missing_programs() -> list[str]:
    """What has to be installed before this server can run here."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Rgw:
    """`with Rgw() as server:` runs it; `server.endpoint` is its URL, the keys are those of a user without limits."""

    access_key, secret_key = "TESTSACCESSKEY", "tests-secret-key"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="reelkeep-rgw-"))
        self.port = 0
        self._running: list[subprocess.Popen[bytes]] = []
        self._user = _ACCOUNT if os.geteuid() == 0 else None

    @property
    def endpoint(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_user(self, uid: str, access_key: str, secret_key: str) -> None:
        """A further user, who owns nothing yet."""
        keys = (f"--access-key={access_key}", f"--secret-key={secret_key}")
        self.admin("user", "create", f"--uid={uid}", f"--display-name={uid}", *keys)

    def limit(self, uid: str, size: int) -> None:
        """From now on this user may store so many bytes in a bucket."""
        self.admin("quota", "set", "--quota-scope=bucket", f"--uid={uid}", f"--max-size={size}")
        self.admin("quota", "enable", "--quota-scope=bucket", f"--uid={uid}")

    def admin(self, *arguments: str) -> Any:
        """What `radosgw-admin` prints as JSON, else None."""
        printed = self._run(["radosgw-admin", *arguments])
        try:
            return json.loads(printed)
        except json.JSONDecodeError:
            return None

    def _start(self) -> None:
        mon_port, self.port = _free_ports(2)
        fsid = str(uuid.uuid4())
        for name in ("mon", "osd"):
            (self.folder / name).mkdir()
        (self.folder / "keyring").touch()
        (self.folder / "ceph.conf").write_text(
            _CONFIG.format(
                fsid=fsid,
                folder=self.folder,
                mon_port=mon_port,
                port=self.port,
                domain=DOMAIN,
                kms_key="YmluZ29ib2VmbG9yYm9lZmxvcmJvZWZsb3Jib2VmbG8=",
            )
        )
        if self._user:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, self._user)
        monmap = str(self.folder / "monmap")
        self._run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap])
        self._run(["ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap])
        self._serve(["ceph-mon", "-f", "-i", "a"])
        osd = str(uuid.uuid4())
        self._run(["ceph", "--connect-timeout", "20", "osd", "new", osd])
        self._run(["ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd])
        self._serve(["ceph-osd", "-f", "-i", "0"])
        self._serve(["radosgw", "-f", "-n", "client.admin"])
        self._wait_until_it_answers()
        self.new_user("tests", self.access_key, self.secret_key)

    def _run(self, command: Sequence[str]) -> bytes:
        done = subprocess.run(
            command, env=self._environment(), user=self._user, capture_output=True, timeout=START_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def _serve(self, command: Sequence[str]) -> None:
        # It ends with the tests, however they end.
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        quiet = subprocess.DEVNULL
        self._running.append(
            subprocess.Popen(
                [*leash, *command],
                env=self._environment(),
                user=self._user,
                group=self._user,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                cwd=self.folder,
            )
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "CEPH_CONF": str(self.folder / "ceph.conf")}

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ended = [process.args for process in self._running if process.poll() is not None]
            if ended:
                raise RuntimeError(f"Ended at once: {ended}. {self._last_words()}")
            try:
                with urlopen(self.endpoint, timeout=5):
                    return
            except (URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"The S3 server did not come up. {self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log"))


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
