"""Signed URLs of copies elsewhere: each is asked for once, however many viewers seek in it, and never shown to them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from storage_app.backends.base import SignedUrl

MARGIN = 60.0
"""Seconds before its end that a URL is given up; for short-lived ones a tenth of their life, if that is less."""
PATIENCE = 10.0
"""Seconds after which a question that hangs is asked anew."""
_MOST = 10_000

Ask = Callable[[], SignedUrl]


@dataclass(frozen=True)
class _Found:
    link: SignedUrl
    stale: float


class Links:
    """Usable from any thread and event loop."""

    def __init__(self) -> None:
        self._found: dict[Hashable, _Found] = {}
        self._asking: dict[Hashable, tuple[float, Future[SignedUrl]]] = {}
        self._lock = threading.RLock()  # an answer may be there at once

    async def of(self, key: Hashable, ask: Ask, threads: ThreadPoolExecutor) -> SignedUrl:
        """The URL that is known by this key, or what `ask` (in one of the threads) returns. Raises what `ask` does."""
        with self._lock:
            found = self._found.get(key)
            if found is not None and found.stale > time.time():
                return found.link
            answer = self._answer(key, ask, threads)
        # Others may wait for the same answer: who leaves must not take it away from them.
        return await asyncio.shield(asyncio.wrap_future(answer))

    def forget(self, key: Hashable, link: SignedUrl) -> None:
        """This one is refused: the next who comes asks anew."""
        with self._lock:
            found = self._found.get(key)
            if found is not None and found.link is link:
                del self._found[key]

    def _answer(self, key: Hashable, ask: Ask, threads: ThreadPoolExecutor) -> Future[SignedUrl]:
        since, answer = self._asking.get(key, (0.0, None))
        if answer is None or answer.done() or time.monotonic() - since > PATIENCE:
            answer = threads.submit(ask)
            self._asking[key] = (time.monotonic(), answer)
            answer.add_done_callback(lambda done: self._keep(key, done))
        return answer

    def _keep(self, key: Hashable, answer: Future[SignedUrl]) -> None:
        now = time.time()
        with self._lock:
            if self._asking.get(key, (0.0, None))[1] is answer:
                del self._asking[key]
            if answer.cancelled() or answer.exception() is not None:
                return
            link = answer.result()
            if len(self._found) >= _MOST:
                self._found.clear()
            self._found[key] = _Found(link, link.until - min(MARGIN, (link.until - now) / 10))
