"""A network of one machine that believes itself the whole Internet, for as long as one process runs.

The parent's side starts a module in network and mount namespaces of its own (`unshare`; as an ordinary user inside a
user namespace). The child's side, `settle_in`, needs no iproute2: it speaks rtnetlink(7). Every address there is leads
to this machine ("AnyIP", a local route for everything), so wherever the product connects to, somebody sees it.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PUBLIC_4 = "93.184.216.34"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

_ROOT = Path(__file__).parent.parent.parent
_WAYS = (["--net", "--mount"], ["--net", "--mount", "--map-root-user"])

# linux/rtnetlink.h, linux/netlink.h, linux/if_addr.h, net/if.h, sys/mount.h
_NEWADDR, _NEWROUTE, _ERROR = 20, 24, 2
_REQUEST_ACK_CREATE = 0x1 | 0x4 | 0x400
_NODAD = 0x02
_ADDRESS, _LOCAL, _OUT = 1, 2, 4
_TABLE_LOCAL, _BY_ADMIN, _SCOPE_HOST, _LOCAL_ROUTE = 255, 4, 254, 2
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
_BIND = 4096


def way_in() -> list[str] | None:
    """The command that starts a program in namespaces of its own; None where that isn't allowed."""
    unshare = shutil.which("unshare")
    for options in _WAYS if unshare else ():
        command = [str(unshare), *options, "--"]
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return None


def run_inside(command: list[str], module: str, *arguments: str, seconds: float) -> Any:
    """What the module's `main` returns there. Raises AssertionError with what it says when it fails."""
    done = subprocess.run(
        [*command, sys.executable, "-m", __name__, module, *arguments],
        cwd=_ROOT, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def settle_in(folder: Path) -> None:
    """Called once in the child: set the loopback device up and ask the name server at PUBLIC_4 for every name."""
    _bring_up("lo")
    device = socket.if_nametoindex("lo")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        _take_over(netlink, device, socket.AF_INET, PUBLIC_4)
        if not _switched_off():
            _take_over(netlink, device, socket.AF_INET6, PUBLIC_6)
    _replace("/etc/resolv.conf", folder, f"nameserver {PUBLIC_4}\noptions timeout:1 attempts:2\n")
    # Anything else (systemd-resolved, mDNS) would answer over a socket that leads out of the namespace.
    _replace("/etc/nsswitch.conf", folder, "hosts: files dns\n")


def has_ipv6() -> bool:
    """Is there IPv6 in this network? Some hosts switch it off for all of theirs."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind((PUBLIC_6, 0))
    except OSError:
        return False
    return True


def _switched_off() -> bool:
    switch = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
    return not switch.exists() or switch.read_text().strip() != "0"


def _take_over(netlink: socket.socket, device: int, family: int, public: str) -> None:
    """Give the device one public address, and lead all others to this machine too."""
    packed = socket.inet_pton(family, public)
    address = struct.pack("=BBBBI", family, len(packed) * 8, _NODAD, 0, device)
    _ask(netlink, _NEWADDR, address, (_LOCAL, packed), (_ADDRESS, packed))
    route = struct.pack("=8BI", family, 0, 0, 0, _TABLE_LOCAL, _BY_ADMIN, _SCOPE_HOST, _LOCAL_ROUTE, 0)
    _ask(netlink, _NEWROUTE, route, (_OUT, struct.pack("=I", device)))


def _bring_up(device: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", device.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(sock, _GET_FLAGS, request))[1]
        fcntl.ioctl(sock, _SET_FLAGS, struct.pack("16sh14x", device.encode(), flags | _UP))


def _ask(netlink: socket.socket, kind: int, body: bytes, *attributes: tuple[int, bytes]) -> None:
    packed = b"".join(
        struct.pack("=HH", 4 + len(value), name) + value + bytes(-len(value) % 4) for name, value in attributes
    )
    length = 16 + len(body) + len(packed)
    netlink.send(struct.pack("=IHHII", length, kind, _REQUEST_ACK_CREATE, 1, 0) + body + packed)
    answer = netlink.recv(65536)
    error = struct.unpack_from("=i", answer, 16)[0] if struct.unpack_from("=H", answer, 4)[0] == _ERROR else 0
    if error:
        raise OSError(-error, os.strerror(-error))


def _replace(path: str, folder: Path, text: str) -> None:
    target = Path(path).resolve()
    if not target.exists():
        return
    ours = folder / target.name
    ours.write_text(text)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(ours), os.fsencode(target), None, _BIND, None):
        raise OSError(ctypes.get_errno(), f"can't mount over {target}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as ours:
        settle_in(Path(ours))
        # Only now: some libraries look at their import whether there is IPv6.
        json.dump(importlib.import_module(sys.argv[1]).main(*sys.argv[2:]), sys.stdout)
