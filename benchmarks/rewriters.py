"""The contenders of `benchmarks.rewriting`, each in a process of its own: `python -m benchmarks.rewriters NAME`.

It needs only the standard library and what the contender itself is: mediaflow-proxy has an environment of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable

BASE = "https://cdn.example.com/vod/abc/720p/index.m3u8?token=abc"
KEY, EXPIRES = "a key of the benchmark", 1_900_000_000
OURS, LIBRARY, PEER = "Reelkeep", "m3u8", "mediaflow-proxy"

Rewriter = Callable[[str], bytes]


def serve(rewriter: Rewriter) -> None:
    """A playlist on each line of standard input, a result on each line of standard output."""
    for line in sys.stdin:
        text = json.loads(line)["text"]
        started = time.process_time()
        output = rewriter(text)
        cpu = time.process_time() - started
        result = {"cpu": cpu, "links": output.count(b"/proxy"), "digest": hashlib.sha256(output).hexdigest()}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


def reelkeep() -> Rewriter:
    """`rewrite`, as `/proxy` calls it."""
    from storage_app.playback.playlists import rewrite
    from storage_app.playback.signing import Key, Signer

    return lambda text: rewrite(text.encode(), BASE, Signer(Key(KEY), EXPIRES))


def library() -> Rewriter:
    """The `m3u8` library: parse, put in links signed by us, write."""
    from storage_app.playback.signing import Key, Signer

    m3u8 = importlib.import_module("m3u8")

    def rewritten(text: str) -> bytes:
        signer = Signer(Key(KEY), EXPIRES)
        parsed = m3u8.loads(text, uri=BASE)
        for key in {id(key): key for key in parsed.keys if key}.values():
            key.uri = f"/proxy?{signer.child(key.absolute_uri)}"
        for segment in parsed.segments:
            segment.uri = f"/proxy?{signer.child(segment.absolute_uri)}"
        return str(parsed.dumps()).encode()

    return rewritten


def mediaflow_proxy() -> Rewriter:
    """Its own processor, as its `/proxy/hls/manifest.m3u8` uses it; without encryption, which would take longer."""
    processor = importlib.import_module("mediaflow_proxy.utils.m3u8_processor").M3U8Processor
    applications = importlib.import_module("starlette.applications")
    routing = importlib.import_module("starlette.routing")
    requests = importlib.import_module("starlette.requests")
    route = routing.Route("/proxy/hls/manifest.m3u8", lambda request: None, name="hls_manifest_proxy")
    application = applications.Starlette(routes=[route])
    scope = {
        "type": "http", "method": "GET", "scheme": "https", "server": ("proxy.example.com", 443), "root_path": "",
        "path": "/proxy/hls/manifest.m3u8", "query_string": b"api_password=secret", "app": application,
        "headers": [(b"host", b"proxy.example.com")], "router": application.router,
    }  # fmt: skip

    async def chunks(text: str) -> AsyncGenerator[bytes, None]:
        data = text.encode()
        for place in range(0, len(data), 65536):
            yield data[place : place + 65536]

    async def rewritten(text: str) -> bytes:
        lines = processor(requests.Request(scope)).process_m3u8_streaming(chunks(text), BASE)
        return "".join([line async for line in lines]).encode()

    loop = asyncio.new_event_loop()
    return lambda text: loop.run_until_complete(rewritten(text))


REWRITERS: dict[str, Callable[[], Rewriter]] = {OURS: reelkeep, LIBRARY: library, PEER: mediaflow_proxy}

if __name__ == "__main__":
    serve(REWRITERS[sys.argv[1]]())
    os._exit(0)  # mediaflow-proxy's background tasks would complain of the end
