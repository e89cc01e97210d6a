"""URLs that lead inside, or try to. `{n}` becomes a number, so that no name is remembered from an earlier try."""

from __future__ import annotations

from tests.network.names import NAMES
from tests.network.namespace import PUBLIC_4

ADDRESSES = (
    # IPv4: loopback, private, link-local with the clouds' metadata services, carrier-grade NAT, special purpose
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254",
    "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.0.8", "0.0.0.0", "0.1.2.3", "198.18.0.1",
    "192.0.2.1", "192.88.99.1", "203.0.113.1", "240.0.0.1", "224.0.0.1", "255.255.255.255",
    # spellings that inet_aton(3) understands
    "127.1", "0", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "017700000001", "10.1", "127.0.0.1.",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127\u30020\u30020\u30021", "\u2460\u2461\u2466.0.0.1",
    # IPv6: loopback, unspecified, IPv4 in it, link-local, unique local, 6to4, Teredo, ISATAP, NAT64
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[::127.0.0.1]", "[fe80::1]",
    "[fe80::1%25lo]", "[fe80::1%lo]", "[fec0::1]", "[fd00::1]", "[fd00:ec2::254]", "[2002:7f00:1::]", "[2002:a00:1::1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[2600::5efe:7f00:1]", "[2600::200:5efe:a00:1]", "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]", "[64:ff9b:1::a00:1]", "[ff02::1]", "[100::1]", "[2001:db8::1]",
    # names that need no name server
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "ip6-localhost", "ip6-loopback",
)  # fmt: skip

URLS = (
    *(f"http://{address}/latest/meta-data/" for address in ADDRESSES),
    *(f"http://{name}.n{{n}}.test/again" for name in NAMES if not name.startswith("public")),
    # nobody public answers on this port, so the next address would be tried
    *(f"http://{name}.p{{n}}.test:8000/" for name in NAMES if name.startswith("mixed")),
    "http://127.0.0.1:8000/admin/", "https://127.0.0.1/", "https://localhost/", "http://localhost:8000/",
    # which part is the host?
    f"http://{PUBLIC_4}@127.0.0.1/", f"http://{PUBLIC_4}:80@127.0.0.1/", f"http://127.0.0.1\\@{PUBLIC_4}/",
    f"http://{PUBLIC_4}\\@127.0.0.1/", f"http://127.0.0.1:80#@{PUBLIC_4}/", f"http://127.0.0.1?@{PUBLIC_4}/",
    f"http://127.0.0.1%2f@{PUBLIC_4}@127.0.0.1/", f"http://user:pw@{PUBLIC_4}:80@127.0.0.1/", "http://127.0.0.1%00.test/",
    "http://127.0.0.1\t/", "http://127.0.0\t.1/", "http://127.0.0.1\u200b/", "http://%31%32%37.0.0.1/",
    "http://xn--127-0.0.0.1/", "HTTP://127.0.0.1/", "hTTp://LocalHost:80/", f"http://[{PUBLIC_4}]@127.0.0.1/",
    "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:8000/_x", "dict://127.0.0.1:8000/",
)  # fmt: skip

LOCATIONS = (
    "//127.0.0.1/", "///127.0.0.1/", "/\\127.0.0.1/", "\\\\127.0.0.1\\", "http:127.0.0.1/", "http:/127.0.0.1/",
    "http:///127.0.0.1/", "http:\\\\127.0.0.1/", "//localhost", "//[::1]", "//127.1:80", "?@127.0.0.1", "//a@127.0.0.1",
    " http://127.0.0.1/", "\thttp://127.0.0.1/", "http://127.0.0.1 /", "http://127.0.0.1/\x00",
    "//flip.l{n}.test/again",
)  # fmt: skip
"""Redirects and children may be relative to the public server; some of these lead back to it, which is harmless."""

PORTS = {80, 443, 8000}


def numbered(url: str, number: int) -> str:
    """`url` with names that nobody has asked for yet."""
    return url.replace("{n}", str(number))
