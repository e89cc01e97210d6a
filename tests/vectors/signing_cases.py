"""Signed URLs, good and tampered with. `python -m tests.vectors` writes `signing.json` from here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from archive_site.playback_keys import derived
from storage_app.playback.signing import Key, Signer

KEY = "vectors-key-of-today"
OLD = ["vectors-key-of-yesterday", "vectors-key-with-ü"]
EXPIRES = 1_900_000_000
NOW = EXPIRES - 3600

URLS = [
    "https://cdn.example.com/vod/abc/s.ts",
    "https://cdn.example.com/vod/abc/s.ts?a=b&c=/../d&e=%2F#t",
    "https://cdn.example.com/",
    "https://cdn.example.com",
    "https://cdn.example.com?x=/y",
    "HTTP://Cdn.Example.com:8080/a/S.ts",
    "http://[2001:db8::1]:8080/a/s.ts",
    "https://user:p%40ss@h.example/a/s.ts",
    "https://h.example/a!b'c(d)e*f~g/s.ts",
    "https://h.example/第1話/s.ts",
    "https://h.example/🎬/🎬.ts",
    "https://h.example/a/" + "b" * 4076,
    "ftp://h.example/a/b",
    "https://h.example/100%/s.ts",
]
# What is signed in place of what no URL may have.
SPACED = {
    "https://h.example/a b/c\nd.ts": "https://h.example/a%20b/c%0Ad.ts",
    "https://h.example/a\x7f.ts": "https://h.example/a%7F.ts",
}

DIRECTORIES: dict[str, str | None] = {
    "https://h.example/a/s.ts": "https://h.example/a/",
    "https://h.example/a/": "https://h.example/a/",
    "https://h.example/s.ts": "https://h.example/",
    "https://h.example/a/s.ts?x=/b/c": "https://h.example/a/",
    "https://h.example/a/s.ts#/b/c": "https://h.example/a/",
    "https://h.example/a/s..ts": "https://h.example/a/",
    "https://h.example/a/s.ts;x=1": "https://h.example/a/",
    "https://h.example/a%2fb/s.ts": "https://h.example/a%2fb/",
    "https://h.example/a/%E7%AC%AC.ts": "https://h.example/a/",
    "https://h.example/a/第.ts": "https://h.example/a/",
    "https://u:p@h.example:8443/a/s.ts": "https://u:p@h.example:8443/a/",
    "http://[::1]/a/s.ts": "http://[::1]/a/",
    "HTTPS://h.example/a/s.ts": "HTTPS://h.example/a/",
    **dict.fromkeys(
        [
            "", "h.example/a/s.ts", "//h.example/a/s.ts", "https://", "https:///a/s.ts", "https://h.example",
            "https://h.example?/a/s.ts", "https://h.example#/a/s.ts", "ftp://h.example/a/s.ts", "http\u017f://h.example/a/",
            "https://h.example/a/..", "https://h.example/a/.", "https://h.example/a/..?x", "https://h.example/a/../s.ts",
            "https://h.example/a/./s.ts", "https://h.example/a/..;/s.ts", "https://h.example/a/..;x",
            "https://h.example/a/.hidden",
            "https://h.example/a/%2e%2e", "https://h.example/a/%2E.", "https://h.example/a/.%2e/s.ts",
            "https://h.example/a/%2e/s.ts", "https://h.example/a/%2e%2e%2fs.ts", "https://h.example/a/..%2Fs.ts",
            "https://h.example/a/x%2f..%2f..%2fs.ts", "https://h.example/a/x%2fs.ts", "https://h.example/a/..%5cs.ts",
            "https://h.example/a/x%5Cs.ts", "https://h.example/a/..\\s.ts", "https://h.example/a\\..\\s.ts",
            "https://h.example\\@evil.example/a/s.ts",
            "https://h.example/a/%252e%252e%252fs.ts", "https://h.example/a/%25252e.ts", "https://h.example/a/s%25.ts",
            "https://h.example/a/%%32%65%%32%65%%32%66s.ts", "https://h.example/a/%u002e%u002e%u2215s.ts",
            "https://h.example/a/100%.ts", "https://h.example/a/%c0%ae%c0%ae%c0%afs.ts", "https://h.example/a/%e0%80%afs.ts",
            "https://h.example/a/%f0%80%80%afs.ts", "https://h.example/a/%ff.ts", "https://h.example/a/%ed%a0%80.ts",
            "https://h.example/a/x%00s.ts", "https://h.example/a/%0a..", "https://h.example/a/%20..", "https://h.example/a/%3b..",
            "https://h.example/a/%ef%bc%8e%ef%bc%8e%ef%bc%8fs.ts", "https://h.example/a/x\uff0fs.ts", "https://h.example/a/x\u2215s.ts",
            "https://h.example/a/\u2025", "https://h.example/a/x\uff3cs.ts", "https://h.example/a/x\u00a5s.ts", "https://h.example/a/x\uff05s.ts",
        ]
    ),
}  # fmt: skip


def signing() -> dict[str, Any]:
    """The content of the file."""
    today = Signer(Key(KEY), EXPIRES)
    links = [link for url in (*URLS, *SPACED) for link in both(today, url)]
    with_variables = {"call": "exact", "url": URLS[0], "variables": "a=x%20y&b=1"}
    links.append({**with_variables, "query": today.exact(URLS[0], with_variables["variables"])})
    return {
        "key": KEY,
        "older": OLD,
        "expires": EXPIRES,
        "now": NOW,
        "kids": {secret: Key(secret).kid for secret in (KEY, *OLD)},
        "derived": {salt: derived(salt) for salt in ("a salt", "塩", "")},
        "links": links,
        "directories": DIRECTORIES,
        "verify": [*granted(today), *refused(today)],
    }


def both(signer: Signer, url: str) -> list[dict[str, str]]:
    """Signed both ways."""
    return [
        {"call": "exact", "url": url, "query": signer.exact(url)},
        {"call": "child", "url": url, "query": signer.child(url)},
    ]


def granted(today: Signer) -> list[dict[str, Any]]:
    """Queries that are good, and what they allow."""
    url, other = "https://h.example/a/s.ts?x=1", "https://h.example/a/another%20one.ts?y=2"
    old = [Signer(Key(secret), EXPIRES) for secret in OLD]
    queries = {
        "exact": (today.exact(url), url, ""),
        "by its directory": (today.child(url), url, ""),
        "another name in the directory": (
            today.within("https://h.example/a/") + quote("another%20one.ts?y=2"),
            other,
            "",
        ),
        "with variables": (today.exact(url, "a=1&b=%26"), url, "a=1&b=%26"),
        "an older key": (old[0].exact(url), url, ""),
        "an older key, by directory": (old[1].child(url), url, ""),
        "the order doesn't matter": ("&".join(reversed(today.exact(url).split("&"))), url, ""),
        "unknown parameters are ignored": (today.exact(url) + "&_HLS_msn=5&utm=x", url, ""),
        "of two the last one counts": ("sig=x&url=y&" + today.exact(url), url, ""),
        "spaces were encoded": (today.exact("https://h.example/a b"), "https://h.example/a%20b", ""),
        "the longest URL": (today.exact(URLS[11]), URLS[11], ""),
    }
    return [
        {"name": name, "query": query, "grant": {"url": url, "expires": EXPIRES, "variables": variables}}
        for name, (query, url, variables) in queries.items()
    ]


def refused(today: Signer) -> list[dict[str, Any]]:
    """Queries that aren't, and the answer."""
    url = "https://h.example/a/s.ts"
    exact, child, variables = today.exact(url), today.child(url), today.exact(url, "a=1")
    exact_with_break = today.exact(url + "%0Ax").replace("%250Ax", "")
    sig = Key(KEY).sign("exact", EXPIRES, url)
    within = today.within("https://h.example/a/")
    head = within[: within.index("&url=")]
    ours = {
        "another URL": exact.replace("s.ts", "t.ts"),
        "another host": exact.replace("h.example", "i.example"),
        "another scheme": exact.replace("https", "http"),
        "a later end": exact.replace(f"exp={EXPIRES}", f"exp={EXPIRES + 1}"),
        "a later end, by directory": child.replace(f"exp={EXPIRES}", f"exp={EXPIRES + 1}"),
        "an end with a zero in front": exact.replace("exp=", "exp=0"),
        "an end with a sign": exact.replace("exp=", "exp=%2B"),
        "an end in other digits": exact.replace(f"exp={EXPIRES}", "exp=" + quote("١٩٠٠٠٠٠٠٠٠")),
        "an end that is too long": exact.replace("exp=", "exp=999999"),
        "an end that is no number": exact.replace("exp=", "exp=x"),
        "another signature": exact.replace("sig=" + sig[0], "sig=" + ("B" if sig[0] == "A" else "A")),
        "a shorter signature": exact.replace(sig, sig[:-1]),
        "a padded signature": exact.replace(sig, sig + "="),
        "the same bits, written otherwise": exact.replace(sig, sig[:-1] + chr(ord(sig[-1]) + 1)),
        "an unknown key": exact.replace("kid=", "kid=0"),
        "an older key's name": exact.replace(Key(KEY).kid, Key(OLD[0]).kid),
        "a key of somebody else": Signer(Key("somebody else's"), EXPIRES).exact(url),
        "variables added": exact.replace("&url=", "&vars=a%3D1&url="),
        "variables added to a directory": child.replace("&url=", "&vars=a%3D1&url="),
        "variables changed": variables.replace("vars=a", "vars=b"),
        "variables taken away": variables.replace("vars=a%3D1&", ""),
        "variables moved into the URL": variables.replace("vars=a%3D1&", "") + "%0Aa%3D1",
        "the URL's end moved into the variables": exact_with_break.replace("&url", "&vars=x&url"),
        "a line break in the URL": exact + "%0A",
        "a space in the URL": exact + "%20",
        "a fragment added": exact + "%23x",
        "an exact signature for its directory": exact.replace("s.ts", ""),
        "a folder below": head + "&url=" + quote(f"{url[:-4]}b/s.ts", safe=""),
        "the folder above": head + "&url=" + quote("https://h.example/s.ts", safe=""),
        "another host with the same folder": head + "&url=" + quote("https://i.example/a/s.ts", safe=""),
        **{f"out of the directory by {name}": f"{within}{quote(name, safe='')}" for name in ESCAPES},
    }  # fmt: skip
    soon = Signer(Key(KEY), NOW)
    long = "https://h.example/" + "b" * 4079
    not_ours = "The signature of this URL is not ours."
    none = "This URL is not signed. Ask this site for a link."
    missing = "The query parameter url is missing."
    cases = [
        *((name, query, 403, "bad_signature", not_ours) for name, query in ours.items()),
        *((f"expired {name}", query, 410, "expired", "This link has expired. Ask this site for a new one.")
          for name, query in (("exact", soon.exact(url)), ("directory", soon.child(url)))),
        ("expired and tampered with", soon.exact(url) + "x", 403, "bad_signature", not_ours),
        ("nothing", "", 400, "bad_request", missing),
        ("an empty url", "url=&sig=x&kid=y&exp=1", 400, "bad_request", missing),
        ("only a url", "url=" + quote(url, safe=""), 403, "unsigned", none),
        ("no signature", exact.replace("sig=", "gis="), 403, "unsigned", none),
        ("no end", exact.replace("exp=", "pxe="), 403, "unsigned", none),
        ("no key", exact.replace("kid=", "dik="), 403, "unsigned", none),
        ("too long", today.exact(long), 400, "bad_request", "The query parameter url is longer than 4096 characters."),
    ]  # fmt: skip
    return [
        {"name": name, "query": query, "refused": {"status": status, "error": error, "detail": detail}}
        for name, query, status, error, detail in cases
    ]


ESCAPES = [
    "..", "../s.ts", "..?x", "..;x", "%2e%2e", "%2e%2e/s.ts", "..%2fs.ts", "x%2f..%2f..%2fs.ts", "..\\s.ts",
    "..%5cs.ts", "%252e%252e%252fs.ts", "%%32%65%%32%65%%32%66s.ts", "%c0%ae%c0%ae%c0%afs.ts", "%u002e%u002e%u2215s.ts",
    "%00..", ".", "\uff0e\uff0e\uff0fs.ts", "%ef%bc%8e%ef%bc%8e%ef%bc%8fs.ts",
]  # fmt: skip
