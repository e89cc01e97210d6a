"""A name server whose names change their minds."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass

from tests.network.namespace import PUBLIC_4, PUBLIC_6

_A, _CNAME, _AAAA = 1, 5, 28
_NXDOMAIN = 3

Addresses = tuple[str, ...]


@dataclass(frozen=True)
class Name:
    """Each look-up gets the next of `answers`, then the last again and again; all with a TTL of 0."""

    answers: tuple[Addresses, ...]
    alias: str = ""
    """Given as a CNAME before the addresses."""
    over_again: bool = False
    """Begin anew after the last."""


NAMES = {
    "public": Name(((PUBLIC_4,),)),
    "public6": Name(((PUBLIC_6,),)),
    "rebind": Name(((PUBLIC_4,), ("127.0.0.1",))),
    "rebind10": Name(((PUBLIC_4,), ("10.0.0.1",))),
    "rebind6": Name(((PUBLIC_4,), ("::1",))),
    "rebindlate": Name(((PUBLIC_4,), (PUBLIC_4,), ("169.254.169.254",))),
    "flip": Name(((PUBLIC_4,), ("127.0.0.1",)), over_again=True),
    "loopback": Name((("127.0.0.1",),)),
    "metadata": Name((("169.254.169.254",),)),
    "private": Name((("192.168.1.1",),)),
    "cgnat": Name((("100.64.0.1",),)),
    "zero": Name((("0.0.0.0",),)),
    "mixed": Name(((PUBLIC_4, "127.0.0.1"),)),
    "mixedrev": Name((("10.0.0.1", PUBLIC_4),)),
    "mixed46": Name((("127.0.0.1", PUBLIC_6),)),
    "mixed64": Name(((PUBLIC_4, "fd00::1"),)),
    "loopback6": Name((("::1",),)),
    "ula": Name((("fd00:ec2::254",),)),
    "mapped": Name((("::ffff:127.0.0.1",),)),
    "nat64": Name((("64:ff9b::7f00:1",),)),
    "alias": Name((("127.0.0.1",),), alias="localhost"),
}


class NameServer:
    """Answers for `<name of NAMES>.<anything>.test` on UDP port 53 of PUBLIC_4, and counts per full name."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((PUBLIC_4, 53))
        self._asked: Counter[tuple[bytes, int]] = Counter()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", 12) + 1
        labels, question = query[12:end], query[12 : end + 4]
        kind = struct.unpack("!H", query[end : end + 2])[0]
        first = labels[1 : 1 + labels[0]].decode().lower()
        name = NAMES.get(first) if labels.lower().endswith(b"\x04test\0") else None
        records = self._records(name, (labels.lower(), kind)) if name else []
        flags = 0x8580 | (0 if name else _NXDOMAIN)
        header = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        return header + question + b"".join(records)

    def _records(self, name: Name, asked: tuple[bytes, int]) -> list[bytes]:
        turn = self._asked[asked]
        self._asked[asked] += 1
        turn = turn % len(name.answers) if name.over_again else min(turn, len(name.answers) - 1)
        owner, records = b"\xc0\x0c", []
        if name.alias:
            owner = bytes([len(name.alias)]) + name.alias.encode() + b"\0"
            records.append(_record(b"\xc0\x0c", _CNAME, owner))
        for address in name.answers[turn]:
            kind, family = (_AAAA, socket.AF_INET6) if ":" in address else (_A, socket.AF_INET)
            if kind == asked[1]:
                records.append(_record(owner, kind, socket.inet_pton(family, address)))
        return records


def _record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, 0, len(data)) + data
