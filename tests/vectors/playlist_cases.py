"""Playlists, and what becomes of them, written by hand: `«…»` is what a link takes the place of.

`links` are the upstream URLs that these lead to, in order. `python -m tests.vectors` writes `playlists.json` from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BASE = "https://cdn.example.com/vod/abc/index.m3u8?token=1"
HERE = "https://cdn.example.com/vod/abc/"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"


@dataclass(frozen=True)
class Case:
    """One playlist. `output` is given where more changes than the links; `handed_on` where links carry variables."""

    name: str
    text: str
    links: list[str] = field(default_factory=list)
    base: str = BASE
    variables: str = ""
    output: str | None = None
    handed_on: str = ""
    latin: bool = False


def segment(name: str, reference: str, url: str, base: str = BASE) -> Case:
    """A playlist of one segment."""
    return Case(name, f"{HEAD}#EXTINF:4,\n«{reference}»\n#EXT-X-ENDLIST\n", [url], base)


def tag(name: str, line: str, *links: str) -> Case:
    """A playlist with this tag and one segment."""
    return Case(name, f"{HEAD}{line}\n#EXTINF:4,\n«s.ts»\n", [*links, f"{HERE}s.ts"])


def untouched(name: str, line: str) -> Case:
    """A line that stays as it is."""
    return tag(name, line)


SEGMENTS = [
    segment("a relative name", "seg-00001.ts", f"{HERE}seg-00001.ts"),
    segment("with a query", "s.ts?a=b/c&d=%2F+e", f"{HERE}s.ts?a=b/c&d=%2F+e"),
    segment("with a fragment, which nobody sends", "s.ts?a=1#t=3", f"{HERE}s.ts?a=1"),
    segment("in a folder below", "720p/s.ts", f"{HERE}720p/s.ts"),
    segment("in the folder above", "../s.ts", "https://cdn.example.com/vod/s.ts"),
    segment("further up than there is", "../../../../s.ts", "https://cdn.example.com/s.ts"),
    segment("dots in the middle", "a/./b/../s.ts", f"{HERE}a/s.ts"),
    segment("dots at the end", "a/b/..", f"{HERE}a/"),
    segment("encoded dots are dots", "%2e%2E/.%2e/s.ts", "https://cdn.example.com/s.ts"),
    segment("twice encoded dots are none", "%252e%252e/s.ts", f"{HERE}%252e%252e/s.ts"),
    segment("encoded slashes are none", "..%2fs.ts", f"{HERE}..%2fs.ts"),
    segment("three dots are a name", "...", f"{HERE}..."),
    segment("a hidden file", ".hidden.ts", f"{HERE}.hidden.ts"),
    segment("from the root", "/x/s.ts", "https://cdn.example.com/x/s.ts"),
    segment("from another host, same scheme", "//other.example/s.ts", "https://other.example/s.ts"),
    segment("absolute", "https://other.example/x/s.ts?q=1", "https://other.example/x/s.ts?q=1"),
    segment("absolute with dots", "https://other.example/x/../s.ts", "https://other.example/s.ts"),
    segment("a host and nothing else", "https://other.example", "https://other.example"),
    segment("a host and a query", "https://other.example?x=/../y", "https://other.example?x=/../y"),
    segment("plain http below https", "http://other.example/s.ts", "http://other.example/s.ts"),
    segment("a scheme in capitals", "HTTPS://Other.Example/S.ts", "https://Other.Example/S.ts"),
    segment("a port", "http://other.example:8080/s.ts", "http://other.example:8080/s.ts"),
    segment("a host in Japanese", "https://例え.example/第.ts", "https://例え.example/%E7%AC%AC.ts"),
    segment("a host in encoded Japanese", "//%E4%BE%8B.example/s.ts", "https://例.example/s.ts"),
    segment("a host that is no UTF-8", "//%E4%BE.example/s.ts", "https://%E4%BE.example/s.ts"),
    segment("an encoded user of such a host", "//%C3%A9%40@例.example/s.ts", "https://%C3%A9%40@例.example/s.ts"),
    segment("IPv6", "http://[2001:db8::1]:8080/s.ts", "http://[2001:db8::1]:8080/s.ts"),
    segment("user and password", "https://u:p@other.example/s.ts", "https://u:p@other.example/s.ts"),
    segment("only a query", "?part=2", f"{HERE}index.m3u8?part=2"),
    segment("a time as a name", "2026-01-01T10:00:00.ts", f"{HERE}2026-01-01T10:00:00.ts"),
    segment("a colon after a slash", "./a:b.ts", f"{HERE}a:b.ts"),
    segment("a semicolon", "s.ts;jsessionid=1", f"{HERE}s.ts;jsessionid=1"),
    segment("marks that quoting treats differently", "a!b'c(d)e*f~g.ts", f"{HERE}a!b'c(d)e*f~g.ts"),
    segment("a space inside", "my segment 1.ts", f"{HERE}my%20segment%201.ts"),
    segment("white space around", " \ts.ts \t", f"{HERE}s.ts"),
    segment("quotes and other marks that no URL may have", 's"<>\\^`{|}.ts', f"{HERE}s%22%3C%3E%5C%5E%60%7B%7C%7D.ts"),
    segment("percent signs that encode nothing", "100%.ts", f"{HERE}100%.ts"),
    segment("Japanese", "第1話.ts", f"{HERE}%E7%AC%AC1%E8%A9%B1.ts"),
    segment("beyond the basic plane", "🎬.ts?x=é", f"{HERE}%F0%9F%8E%AC.ts?x=%C3%A9"),
    segment("a line separator that isn't one here", "a\u2028b\u0085c.ts", f"{HERE}a%E2%80%A8b%C2%85c.ts"),
    segment("already encoded Japanese", "%E7%AC%AC.ts", f"{HERE}%E7%AC%AC.ts"),
    segment("http: without slashes is another scheme below https", "http:s.ts", "http://s.ts"),
    segment("https: without slashes is relative below https", "https:s.ts", f"{HERE}s.ts"),
    segment("too few slashes", "http:/other.example/s.ts", "http://other.example/s.ts"),
    segment("too many slashes", "///other.example/s.ts", "https://other.example/s.ts"),
    segment("slashes the wrong way", "https:\\\\other.example/s.ts", "https://other.example/s.ts"),
    segment("a tab in the scheme", "ht\ttps://other.example/s.ts", "https://other.example/s.ts"),
    segment("a control character in front", "\x01https://other.example/s.ts", "https://other.example/s.ts"),
    segment(
        "LL-HLS directives in a reference", "p.m3u8?_HLS_msn=5&_HLS_part=1", f"{HERE}p.m3u8?_HLS_msn=5&_HLS_part=1"
    ),
    segment("a link that looks like ours", "/proxy?exp=1&url=x", "https://cdn.example.com/proxy?exp=1&url=x"),
    segment("a long name", "a" * 3000 + ".ts", HERE + "a" * 3000 + ".ts"),
    segment("a base without a path", "s.ts", "https://cdn.example.com/s.ts", "https://cdn.example.com"),
    segment("a base with slashes in its query", "s.ts", f"{HERE}s.ts", f"{HERE}index.m3u8?next=/a/b/c"),
    segment("a base in Japanese", "s.ts", "https://例.example/s.ts", "https://例.example"),
    segment("a base with dots", "s.ts", "https://cdn.example.com/s.ts", "https://cdn.example.com/a/../index.m3u8"),
    segment(
        "a base with Unicode", "s.ts", "https://cdn.example.com/%E7%AC%AC/s.ts", "https://cdn.example.com/第/index.m3u8"
    ),
    segment(
        "a base with user and port", "s.ts", "https://u:p@h.example:444/a/s.ts", "https://u:p@h.example:444/a/i.m3u8"
    ),
]

UNTOUCHED = [
    untouched("data: is left alone", "data:video/mp2t;base64,AAAA"),
    untouched("other schemes are left alone", "ftp://x.example/s.ts"),
    untouched("javascript: is left alone", "javascript:alert(1)"),
    untouched("file: is left alone", "file:///etc/passwd"),
    untouched("a name that reads as a scheme", "seg:1.ts"),
    untouched("a URL without a host", "https://"),
    untouched("a URL without a host but with a port", "https://:80/s.ts"),
    untouched("a URL with a user and no host", "https://u@/s.ts"),
    untouched("a line of control characters", "\x01\x02"),
    untouched("comments are kept", "# https://other.example/s.ts"),
    untouched("a comment that looks like a tag", '#EXT-KEY:URI="https://other.example/k"'),
    untouched("the title of a segment", '#EXTINF:4 tvg-logo="https://x.example/URI=",URI="https://x.example/y"'),
    untouched("an empty URI", '#EXT-X-KEY:METHOD=AES-128,URI=""'),
    untouched("no URI at all", "#EXT-X-KEY:METHOD=NONE"),
    untouched("an empty attribute list", "#EXT-X-KEY:"),
    untouched("a tag without a colon", '#EXT-X-KEY URI="k"'),
    untouched(
        "FairPlay", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://asset/1",KEYFORMAT="com.apple.streamingkeydelivery"'
    ),
    untouched("Widevine", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:text/plain;base64,AAAA,BB",KEYFORMATVERSIONS="1"'),
    untouched("a URN", '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="urn:uuid:5"'),
    untouched("URI inside of a quoted value", '#EXT-X-SESSION-DATA:DATA-ID="a,URI=b",VALUE="x,URI=y"'),
    untouched(
        "an attribute that only ends like one", '#EXT-X-DATERANGE:ID="1",X-COM-EXAMPLE-AD-URI="https://x.example/y"'
    ),
]

TAGS = [
    tag("a key", '#EXT-X-KEY:METHOD=AES-128,URI="«k.bin»",IV=0x1F', f"{HERE}k.bin"),
    tag(
        "a key elsewhere", '#EXT-X-KEY:METHOD=AES-128,URI="«https://k.example/k?id=7,8»"', "https://k.example/k?id=7,8"
    ),
    tag("a session key", '#EXT-X-SESSION-KEY:URI="«k»",METHOD=AES-128', f"{HERE}k"),
    tag("a map", '#EXT-X-MAP:URI="«init.mp4»",BYTERANGE="720@0"', f"{HERE}init.mp4"),
    tag("a part", '#EXT-X-PART:DURATION=0.33,URI="«p1.mp4»",INDEPENDENT=YES', f"{HERE}p1.mp4"),
    tag("a hint", '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="«p2.mp4»"', f"{HERE}p2.mp4"),
    tag("a report", '#EXT-X-RENDITION-REPORT:URI="«../1M/x.m3u8»",LAST-MSN=5', "https://cdn.example.com/vod/1M/x.m3u8"),
    tag("session data", '#EXT-X-SESSION-DATA:DATA-ID="a",URI="«d.json»"', f"{HERE}d.json"),
    tag(
        "content steering",
        '#EXT-X-CONTENT-STEERING:SERVER-URI="«/steer?a=1»",PATHWAY-ID="A"',
        "https://cdn.example.com/steer?a=1",
    ),
    tag("an interstitial", '#EXT-X-DATERANGE:ID="a,b",X-ASSET-URI="«ad/i.m3u8»"', f"{HERE}ad/i.m3u8"),
    tag("a list of interstitials", '#EXT-X-DATERANGE:X-ASSET-LIST="«ads.json?n=1»",ID="x"', f"{HERE}ads.json?n=1"),
    tag("two links in one tag", '#EXT-X-DATERANGE:X-ASSET-LIST="«l»",URI="«u»"', f"{HERE}l", f"{HERE}u"),
    tag("the same attribute twice", '#EXT-X-KEY:URI="«a»",URI="«b»"', f"{HERE}a", f"{HERE}b"),
    tag("a tag of the future", '#EXT-X-SPRITES:COLUMNS=5,URI="«sprite.jpg»"', f"{HERE}sprite.jpg"),
    tag("a prefetched segment", "#EXT-X-PREFETCH:«https://other.example/p.ts»", "https://other.example/p.ts"),
    tag("the same by its older name", "#EXT-X-TWITCH-PREFETCH:«p.ts»", f"{HERE}p.ts"),
    tag("commas in quotes", '#EXT-X-MAP:X="a,b=c,\'",URI="«i,1.mp4»",Y=","', f"{HERE}i,1.mp4"),
    tag("no quotes", "#EXT-X-KEY:METHOD=AES-128,URI=«k.bin»,IV=0x1", f"{HERE}k.bin"),
    tag("no quotes and nothing after it", "#EXT-X-KEY:METHOD=AES-128,URI=«k.bin»", f"{HERE}k.bin"),
    tag("blanks between attributes", '#EXT-X-KEY: METHOD=AES-128 , URI = "«k.bin»" , IV=0x1', f"{HERE}k.bin"),
    tag("a quote that never ends", '#EXT-X-KEY:METHOD=AES-128,URI="«k.bin»', f"{HERE}k.bin"),
    tag("a quote that ends after another attribute began", '#EXT-X-KEY:URI="«k.bin,IV=»"0x1', f"{HERE}k.bin,IV="),
    tag("rubbish after a quoted value", '#EXT-X-KEY:A="x"y"z,URI="«k»",B="', f"{HERE}k"),
    tag("a stray quote in front", '#EXT-X-KEY:A=b"c,URI="«k»",D="e"', f"{HERE}k"),
    tag("stray quotes that hide nothing", '#EXT-X-KEY:A=b",B=c",URI="«k»"', f"{HERE}k"),
    untouched("an opened quote hides what follows", '#EXT-X-KEY:A=b",B="c,URI="k"'),
    tag("commas and nothing else in front", '#EXT-X-KEY:,,=,,URI="«k»",,', f"{HERE}k"),
    tag("a blank in front of a tag", ' \t#EXT-X-KEY:METHOD=AES-128,URI="«k.bin»"', f"{HERE}k.bin"),
]
