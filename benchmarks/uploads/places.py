"""Where contenders send to: a Hub behind a shaped uplink, and a real S3 server with a folder beside it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config

from benchmarks.downloads.running import ROOT
from benchmarks.uploads.job import PATH, REPO
from tests.servers.rgw import Rgw, missing_programs

USERS = ("ann", "bea", "cid", "dan", "eve")
UPLINK = 1_000_000_000
"""Bits per second that all connections share."""


class Place(Protocol):
    """Accounts for one turn."""

    fields: dict[str, Any]
    """Of `Job`."""

    def wrapped(self, command: Sequence[str]) -> list[str]:
        """The command, run where the accounts can be reached."""

    def check(self, sha256: str) -> tuple[str, int]:
        """What is wrong with the copies ("" if nothing), and how many bytes of content were received; 0: not known."""


class HubPlace:
    """Five accounts of one Hub, in a network namespace whose loopback has the uplink's rate."""

    def __init__(self, folder: Path) -> None:
        shape = f"ip link set lo up && tc qdisc add dev lo root tbf rate {UPLINK} burst 256kb latency 50ms"
        enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--user", "--map-root-user"]
        server = f'exec "{sys.executable}" -m benchmarks.uploads.hub_process "{folder}" {" ".join(USERS)}'
        self._process = subprocess.Popen(
            [*enter, "sh", "-c", f"{shape} && {server}"],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.fields = {"endpoint": self._answer()["endpoint"], "users": USERS}

    def wrapped(self, command: Sequence[str]) -> list[str]:
        """See Place."""
        options = ["--net"] if os.geteuid() == 0 else ["--net", "--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self._process.pid), *options, *command]

    def check(self, sha256: str) -> tuple[str, int]:
        """See Place."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{sha256} {REPO} {PATH}\n")
        self._process.stdin.flush()
        found = self._answer()
        sent = sum(sum(kinds.get(kind, 0) for kind in ("lfs", "xorb", "shard")) for kinds in found["sent"].values())
        lacking = sorted(set(USERS) - set(found["held"]))
        return (f"no right copy with {', '.join(lacking)}" if lacking else ""), sent

    def close(self) -> None:
        """End the Hub."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The Hub did not start. It needs unshare, ip and tc, and the right to use them.")
        return dict(json.loads(line))


class S3Place:
    """Two buckets of a real S3 server, and a folder."""

    def __init__(self, server: Rgw, folder: Path) -> None:
        self._client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )
        self._folder = folder
        self._buckets = [f"bench-{folder.parent.name.lower().replace('_', '-')}-{number}" for number in (1, 2)]
        for name in self._buckets:
            self._client.create_bucket(Bucket=name)
        self.fields = {
            "buckets": [(server.endpoint, name) for name in self._buckets],
            "folder": str(folder),
            "options": {"access_key": server.access_key, "secret_key": server.secret_key},
        }

    def wrapped(self, command: Sequence[str]) -> list[str]:
        """See Place."""
        return list(command)

    def check(self, sha256: str) -> tuple[str, int]:
        """See Place."""
        wrong = []
        for name in self._buckets:
            digest = hashlib.sha256()
            for block in self._client.get_object(Bucket=name, Key=f"{REPO}/{PATH}")["Body"].iter_chunks(1024 * 1024):
                digest.update(block)
            if digest.hexdigest() != sha256:
                wrong.append(name)
        with (self._folder / REPO / PATH).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                wrong.append("the folder")
        return (f"no right copy in {', '.join(wrong)}" if wrong else ""), 0

    def close(self) -> None:
        """Remove everything."""
        for name in self._buckets:
            for found in self._client.list_objects_v2(Bucket=name).get("Contents", ()):
                self._client.delete_object(Bucket=name, Key=found["Key"])
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def hub_place(folder: Path) -> Iterator[HubPlace]:
    """For one turn."""
    place = HubPlace(folder / "hub")
    try:
        yield place
    finally:
        place.close()


@contextmanager
def s3_place(folder: Path, server: Rgw) -> Iterator[S3Place]:
    """For one turn."""
    place = S3Place(server, folder / "account")
    try:
        yield place
    finally:
        place.close()


def s3_missing() -> str:
    """What has to be installed for the S3 server; "" when nothing."""
    return ", ".join(missing_programs())
