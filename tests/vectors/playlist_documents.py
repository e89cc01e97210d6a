"""Whole playlists: breaks, encodings, variants and variables. See `playlist_cases.py`."""

from __future__ import annotations

from tests.vectors.playlist_cases import BASE, HEAD, HERE, Case

SIGNED_BASE = f"{HERE}index.m3u8?tok=a%2Fb+c&tok=second&empty=&quote=%22&high=%E7%AC%AC%FF&bad=%zz"
MULTI = f"{HERE}master.m3u8?tok=a%2Fb"
LONG = "v" * 2049

LADDER = (
    "#EXTM3U\r\n#EXT-X-INDEPENDENT-SEGMENTS\r\n"
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English, US",URI="«audio/en.m3u8»"\r\n'
    '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="日本語",URI="«subs/ja.m3u8»"\r\n'
    '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="CC",INSTREAM-ID="CC1"\r\n'
    '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI="«i.m3u8»"\r\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=5000000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"\r\n«1080p.m3u8?x=1»\r\n'
    "#EXT-X-STREAM-INF:BANDWIDTH=3000000\r\n«https://other.example/720p.m3u8»\r\n"
)
LADDER_LINKS = [
    f"{HERE}audio/en.m3u8",
    f"{HERE}subs/ja.m3u8",
    f"{HERE}i.m3u8",
    f"{HERE}1080p.m3u8?x=1",
    "https://other.example/720p.m3u8",
]

BREAKS = [
    Case("CRLF", HEAD.replace("\n", "\r\n") + "#EXTINF:4,\r\n«s.ts»\r\n", [f"{HERE}s.ts"]),
    Case("lone CR", HEAD.replace("\n", "\r") + "#EXTINF:4,\r«s.ts»\r", [f"{HERE}s.ts"]),
    Case(
        "all breaks in one", "#EXTM3U\n\r\n#EXTINF:4,\r«a.ts»\r\r\n«b.ts»\n\r«c.ts»", [f"{HERE}{n}.ts" for n in "abc"]
    ),
    Case("CR and LF in equal numbers, but apart", "#EXTM3U\r«a.ts»\n\r\n", [f"{HERE}a.ts"]),
    Case("no break at the end", f"{HEAD}«s.ts»", [f"{HERE}s.ts"]),
    Case("blank lines inside", f"{HEAD}\n \t \n\n«s.ts»\n\n", [f"{HERE}s.ts"]),
    Case(
        "a BOM and blank lines in front",
        "\ufeff\r\n \n\ufeff#EXTM3U\n«s.ts»\n",
        [f"{HERE}s.ts"],
        output="#EXTM3U\n«s.ts»\n",
    ),
    Case("blank lines in front", "\n\n#EXTM3U\n«s.ts»\n", [f"{HERE}s.ts"], output="#EXTM3U\n«s.ts»\n"),
    Case("nothing", "", output=""),
    Case("nothing but blanks", "\n \r\n", output=""),
    Case("no header", "«a.ts»\n«b.ts»\n", [f"{HERE}a.ts", f"{HERE}b.ts"]),
    Case("a page of HTML", "«<html>»\n«<a href=x>»\n", [f"{HERE}%3Chtml%3E", f"{HERE}%3Ca%20href=x%3E"]),
    Case("a form feed and NUL are no breaks", f"{HEAD}«a\x0cb.ts»\n# \x00c\x0bd\n", [f"{HERE}a%0Cb.ts"]),
    Case("bytes that are no UTF-8", f"{HEAD}#EXTINF:4,\xff\xfe\n«\xe9\xff.ts»\n", [f"{HERE}%E9%FF.ts"], latin=True),
    Case(
        "half a surrogate in UTF-8's form", f"{HEAD}# \xed\xa0\x80\n«\xed\xa0\x80»\n", [f"{HERE}%ED%A0%80"], latin=True
    ),
    Case("a base that is no URL", f"{HEAD}s.ts\n", base="not a url"),
    Case("a base without a host", f"{HEAD}s.ts\n/s.ts\n«//h/s.ts»\n", ["http://h/s.ts"], base="http:"),
]

VARIANTS = [
    Case("a ladder", LADDER, LADDER_LINKS),
    Case(
        "a ladder with variables hands them on",
        LADDER.replace("#EXT-X-INDEP", '#EXT-X-DEFINE:NAME="a",VALUE="x y&z"\r\n#EXT-X-INDEP'),
        LADDER_LINKS,
        handed_on="a=x%20y%26z",
    ),
    Case(
        "other links of a ladder don't carry them",
        '#EXTM3U\n#EXT-X-DEFINE:NAME="a",VALUE="1"\n#EXT-X-SESSION-KEY:URI="«k»"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n«v.m3u8»\n',
        [f"{HERE}k", f"{HERE}v.m3u8"],
        handed_on="a=1",
    ),
    Case(
        "a ladder hands on what it takes from its query",
        '#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM="tok"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n«v.m3u8?t={$tok}»\n',
        [f"{HERE}v.m3u8?t=a/b"],
        base=MULTI,
        handed_on="tok=a%2Fb",
        output='#EXTM3U\n#EXT-X-DEFINE:NAME="tok",VALUE="a/b"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n«»\n',
    ),
    Case(
        "variables without room are not handed on",
        f'#EXTM3U\n#EXT-X-DEFINE:NAME="l",VALUE="{LONG[:2040]}"\n#EXT-X-DEFINE:NAME="s",VALUE="1"\n'
        '#EXT-X-DEFINE:NAME="m",VALUE="12"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n«v.m3u8»\n',
        [f"{HERE}v.m3u8"],
        handed_on=f"l={LONG[:2040]}&s=1",
    ),
    Case(
        "a media sequence is no variant",
        '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-DEFINE:NAME="a",VALUE="1"\n«s.ts»\n',
        [f"{HERE}s.ts"],
    ),
]


def with_variables(name: str, define: str, line: str, url: str, **more: str) -> Case:
    """A playlist with one EXT-X-DEFINE tag and one segment; `told` is the tag that the player gets."""
    told = more.pop("told", define)
    text, output = (f"{HEAD}#EXT-X-DEFINE:{tag}\n«{line}»\n" for tag in (define, told))
    return Case(name, text, [url], output=output, **{"base": SIGNED_BASE, **more})  # type: ignore[arg-type]


VARIABLES = [
    with_variables("a variable", 'NAME="p",VALUE="x/y"', "{$p}/s.ts?{$p}", f"{HERE}x/y/s.ts?x/y"),
    with_variables(
        "a variable for the host", 'NAME="h",VALUE="https://o.example"', "{$h}/s.ts", "https://o.example/s.ts"
    ),
    with_variables("a variable that nobody defines", 'NAME="p",VALUE="x"', "{$q}.ts", f"{HERE}%7B$q%7D.ts"),
    with_variables("variables aren't replaced twice", 'NAME="p",VALUE="{$p}"', "{$p}.ts", f"{HERE}%7B$p%7D.ts"),
    with_variables("a name that is none", 'NAME="p q",VALUE="x"', "{$p q}.ts", f"{HERE}%7B$p%20q%7D.ts"),
    with_variables("a tag without a value", 'NAME="p"', "{$p}.ts", f"{HERE}%7B$p%7D.ts"),
    with_variables("a value in Japanese", 'NAME="p",VALUE="第"', "{$p}.ts", f"{HERE}%E7%AC%AC.ts"),
    with_variables("a value that is too long", f'NAME="p",VALUE="{LONG}"', "{$p}.ts", f"{HERE}%7B$p%7D.ts"),
    with_variables(
        "a parameter of the query, the first",
        'QUERYPARAM="tok"',
        "s.ts?t={$tok}",
        f"{HERE}s.ts?t=a/b+c",
        told='NAME="tok",VALUE="a/b+c"',
    ),
    with_variables(
        "an empty parameter", 'QUERYPARAM="empty"', "s.ts?t={$empty}", f"{HERE}s.ts?t=", told='NAME="empty",VALUE=""'
    ),
    with_variables("a parameter that isn't there", 'QUERYPARAM="sig"', "{$sig}.ts", f"{HERE}%7B$sig%7D.ts"),
    with_variables("a parameter that no tag can hold", 'QUERYPARAM="quote"', "{$quote}.ts", f"{HERE}%7B$quote%7D.ts"),
    with_variables(
        "a parameter with odd percent signs",
        'QUERYPARAM="bad"',
        "{$bad}.ts",
        f"{HERE}%zz.ts",
        told='NAME="bad",VALUE="%zz"',
    ),
    with_variables(
        "an import", 'IMPORT="i"', "{$i}.ts", f"{HERE}x%20y.ts", told='NAME="i",VALUE="x y"', variables="h=1&i=x%20y"
    ),
    with_variables(
        "an import of what wasn't handed on", 'IMPORT="j"', "{$j}.ts", f"{HERE}%7B$j%7D.ts", variables="i=1"
    ),
    Case(
        "the first definition counts",
        f'{HEAD}#EXT-X-DEFINE:NAME="p",VALUE="1"\n#EXT-X-DEFINE:NAME="p",VALUE="2"\n«{{$p}}.ts»\n',
        [f"{HERE}1.ts"],
    ),
    Case(
        "variables in attributes of links only",
        f'{HEAD}#EXT-X-DEFINE:NAME="p",VALUE="1"\n#EXT-X-KEY:METHOD=AES-128,X="{{$p}}",URI="«{{$p}}.k»"\n«s.ts»\n',
        [f"{HERE}1.k", f"{HERE}s.ts"],
    ),
    Case("a variable may make it no link", f'{HEAD}#EXT-X-DEFINE:NAME="p",VALUE="data"\n{{$p}}:x\n'),
    Case(
        "a parameter that is no UTF-8",
        f'{HEAD}#EXT-X-DEFINE:QUERYPARAM="high"\n«{{$high}}.ts»\n',
        [f"{HERE}%E7%AC%AC%FF.ts"],
        base=SIGNED_BASE,
        output=f'{HEAD}#EXT-X-DEFINE:NAME="high",VALUE="\xe7\xac\xac\xff"\n«»\n',
        latin=True,
    ),
    Case(
        "a reference that its variables make too long",
        f'{HEAD}#EXT-X-DEFINE:NAME="p",VALUE="{LONG[:2000]}"\n«{{$p}}{{$p}}{{$p}}.ts»\n',
        [f"{HERE}{'%7B$p%7D' * 3}.ts"],
    ),
    Case(
        "segments carry no variables, reports do",
        f'{HEAD}«s.ts»\n#EXT-X-RENDITION-REPORT:URI="«r.m3u8»",LAST-MSN=1\n',
        [f"{HERE}s.ts", f"{HERE}r.m3u8"],
        variables="a=1",
        handed_on="a=1",
    ),
]

LOW_LATENCY = Case(
    "LL-HLS",
    "#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0\n#EXT-X-PART-INF:PART-TARGET=0.33\n"
    '#EXT-X-MEDIA-SEQUENCE:266\n#EXT-X-MAP:URI="«init.mp4»"\n#EXT-X-PROGRAM-DATE-TIME:2026-02-14T02:13:36.106Z\n'
    '#EXTINF:4.0,\n«266.mp4»\n#EXT-X-PART:DURATION=0.33,URI="«267.0.mp4?_HLS_x=1»",INDEPENDENT=YES\n'
    '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="«267.1.mp4»"\n'
    '#EXT-X-RENDITION-REPORT:URI="«../1M/w.m3u8»",LAST-MSN=267,LAST-PART=0\n',
    [
        f"{HERE}init.mp4",
        f"{HERE}266.mp4",
        f"{HERE}267.0.mp4?_HLS_x=1",
        f"{HERE}267.1.mp4",
        "https://cdn.example.com/vod/1M/w.m3u8",
    ],
    base=BASE,
)

DOCUMENTS = [*BREAKS, *VARIANTS, *VARIABLES, LOW_LATENCY]
