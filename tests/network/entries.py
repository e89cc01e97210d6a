"""The ways a hostile URL comes in: each makes, out of the URL, what an operator or a source would hand us.

To add one, add a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape

from queue_app.downloaders import Source
from tests.network.hosts import Public

M3U8 = "application/vnd.apple.mpegurl"
TS = (b"\x47\x1f\xff\x10" + bytes([0xFF]) * 184) * 20
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"\x00\x00\x00\x08free" + bytes(4096)
LARGE = MP4 + bytes(6 * 1024 * 1024)

Fetch = Callable[[Public, str], str]
Download = Callable[[Public, str], Source]
Pages = Callable[[list[str]], str]

FETCHES: dict[str, Fetch] = {
    "itself": lambda _, url: url,
    "301": lambda web, url: web.redirect(301, url),
    "302": lambda web, url: web.redirect(302, url),
    "303": lambda web, url: web.redirect(303, url),
    "307": lambda web, url: web.redirect(307, url),
    "308": lambda web, url: web.redirect(308, url),
    "chain": lambda web, url: web.redirect(302, web.redirect(307, web.redirect(301, url))),
}
"""The URL that the fetcher is given."""

FILES: dict[str, Download] = {
    "file": lambda _, url: Source(url),
    "redirected file": lambda web, url: Source(web.redirect(302, url, ".mp4")),
    "mirror of a whole file": lambda web, url: Source(web.put(".mp4", MP4, "video/mp4"), mirrors=(url,)),
    "mirror of a busy file": lambda web, url: Source(web.status(503, ".mp4"), mirrors=(url,)),
    "mirror of a missing file": lambda web, url: Source(web.status(404, ".mp4"), mirrors=(url,)),
    "mirror of a large file": lambda web, url: Source(web.put_large(".mp4", LARGE, "video/mp4"), mirrors=(url,)),
    "redirected mirror": lambda web, url: Source(web.status(503, ".mp4"), mirrors=(web.redirect(302, url),)),
}

STREAMS: dict[str, Download] = {
    "variant": lambda web, url: _playlist(web, "#EXT-X-STREAM-INF:BANDWIDTH=1", url),
    "redirected variant": lambda web, url: _playlist(web, "#EXT-X-STREAM-INF:BANDWIDTH=1", web.redirect(302, url)),
    "segment": lambda web, url: _media(web, "#EXTINF:1,", url),
    "second segment": lambda web, url: _media(web, "#EXTINF:1,", _ts(web), "#EXTINF:1,", url),
    "redirected segment": lambda web, url: _media(web, "#EXTINF:1,", web.redirect(302, url, ".ts")),
    "segment of a variant": lambda web, url: _playlist(
        web, "#EXT-X-STREAM-INF:BANDWIDTH=1", _media(web, "#EXTINF:1,", url).url
    ),
    "byte range": lambda web, url: _media(web, "#EXTINF:1,", "#EXT-X-BYTERANGE:100@0", url),
    "map": lambda web, url: _media(web, f'#EXT-X-MAP:URI="{url}"', "#EXTINF:1,", _ts(web)),
    "key": lambda web, url: _media(web, f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"', "#EXTINF:1,", _ts(web)),
    "redirected key": lambda web, url: _media(
        web, f'#EXT-X-KEY:METHOD=AES-128,URI="{web.redirect(302, url)}"', "#EXTINF:1,", _ts(web)
    ),
    "audio": lambda web, url: _playlist(
        web,
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{url}"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"',
        _media(web, "#EXTINF:1,", _ts(web)).url,
    ),
    "subtitles": lambda web, url: _playlist(
        web,
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="s",LANGUAGE="en",URI="{url}"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,SUBTITLES="s"',
        _media(web, "#EXTINF:1,", _ts(web)).url,
    ),
    "segment of the subtitles": lambda web, url: _playlist(
        web,
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="s",URI="{_media(web, "#EXTINF:1,", url).url}"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,SUBTITLES="s"',
        _media(web, "#EXTINF:1,", _ts(web)).url,
    ),
    "base of a variable": lambda web, url: _media(web, f'#EXT-X-DEFINE:NAME="u",VALUE="{url}"', "#EXTINF:1,", "{$u}"),
}

PAGES: dict[str, Pages] = {
    "video src": lambda urls: _each('<video src="{}"></video>', urls),
    "source": lambda urls: "<video>" + _each('<source src="{}" type="video/mp4">', urls) + "</video>",
    "og:video": lambda urls: _each('<meta property="og:video" content="{}">', urls),
    "twitter player": lambda urls: _each('<meta name="twitter:player:stream" content="{}">', urls),
    "JSON-LD": lambda urls: "".join(
        '<script type="application/ld+json">'
        + json.dumps({"@context": "https://schema.org", "@type": "VideoObject", "name": "x", "contentUrl": url})
        + "</script>"
        for url in urls
    ),
    "link": lambda urls: _each('<a href="{0}">a</a> <a href="{0}/x.mp4">b</a>', urls),
    "iframe": lambda urls: _each('<iframe src="{}"></iframe>', urls),
    "poster, track and image": lambda urls: _each('<video poster="{0}"><track src="{0}"></video><img src="{0}">', urls),
    "script and style": lambda urls: _each('<script src="{0}"></script><link rel="stylesheet" href="{0}">', urls),
    "preload": lambda urls: _each('<link rel="preload" as="video" href="{0}"><link rel="preconnect" href="{0}">', urls),
    "object": lambda urls: _each('<object data="{0}"></object><embed src="{0}">', urls),
    "refresh": lambda urls: _each('<meta http-equiv="refresh" content="0; url={}">', urls),
    "fetch": lambda urls: _script("fetch(u, {mode: 'no-cors'}).catch(() => 0)", urls),
    "beacon": lambda urls: _script("navigator.sendBeacon(u, 'x')", urls),
    "web socket": lambda urls: _script("new WebSocket(u.replace(/^http/i, 'ws'))", urls),
    "player": lambda urls: _script(
        "const v = document.createElement('video'); v.src = u; v.muted = true; document.body.append(v); v.play()", urls
    ),
    "navigation": lambda urls: _script("setTimeout(() => { location.href = u }, 10)", urls),
    "worker": lambda urls: _script(
        "new Worker(URL.createObjectURL(new Blob(['fetch(' + JSON.stringify(u) + ')'])))", urls
    ),
    "peer": lambda urls: _script(
        "const h = new URL(u), a = h.hostname + ':' + (h.port || 80);"
        "const p = new RTCPeerConnection({iceServers: [{urls: ['stun:' + a, 'turn:' + a + '?transport=tcp'], "
        "username: 'a', credential: 'b'}]}); p.createDataChannel('x'); "
        "p.createOffer().then(o => p.setLocalDescription(o))",
        urls,
    ),
}
"""The body of a page that holds all of the URLs."""

READ = {"video src", "source", "og:video", "twitter player", "JSON-LD", "link"}
"""Those that are understood without a browser, which then isn't started."""

LEAVING = {"refresh", "navigation"}
"""Those that would take a browser away from whatever else is on their page."""

TRACE = "/a-browser-was-here"


def _playlist(web: Public, *lines: str) -> Source:
    return Source(web.put(".m3u8", "\n".join(["#EXTM3U", *lines, ""]), M3U8))


def _media(web: Public, *lines: str) -> Source:
    return _playlist(web, "#EXT-X-VERSION:8", "#EXT-X-TARGETDURATION:1", *lines, "#EXT-X-ENDLIST")


def _ts(web: Public) -> str:
    return web.put(".ts", TS, "video/mp2t")


def _each(markup: str, urls: list[str]) -> str:
    return "".join(markup.format(escape(url)) for url in urls)


def _script(statement: str, urls: list[str]) -> str:
    wanted = json.dumps(urls).replace("<", "\\u003c")
    return f"<script>for (const u of {wanted}) {{ try {{ {statement} }} catch (e) {{}} }}</script>"
