"""AES-128 of whole segments (RFC 8216 §4.3.2.4, §5.2): the stream's own key, in the open; DRM is refused by name."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from queue_app.failures import BadSource

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

KEY_BYTES = 16
_BLOCK = 16
_SYSTEMS = (
    ("com.apple.streamingkeydelivery", "FairPlay"),
    ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "Widevine"),
    ("widevine", "Widevine"),
    ("9a04f079-9840-4286-ab92-e65be0885f95", "PlayReady"),
    ("playready", "PlayReady"),
)


@dataclass(frozen=True)
class Key:
    """How segments are encrypted, from an EXT-X-KEY to the next."""

    url: str
    iv: bytes | None
    """None: the segment's media sequence number."""

    def iv_for(self, sequence: int) -> bytes:
        """The initialization vector of the segment with this media sequence number."""
        return self.iv if self.iv is not None else (sequence % 2**128).to_bytes(_BLOCK, "big")


def check_key(tag: str, attributes: Mapping[str, str]) -> bool:
    """Is an EXT-X-KEY or EXT-X-SESSION-KEY one of AES-128 (False: METHOD=NONE)? Raises BadSource for all others."""
    method, form = attributes.get("METHOD", ""), attributes.get("KEYFORMAT", "identity")
    if method == "NONE":
        return False
    described = (form + attributes.get("URI", "")[:200]).lower()
    system = next((name for mark, name in _SYSTEMS if mark in described), "")
    if attributes.get("URI", "").lower().startswith("skd:"):
        system = "FairPlay"
    if method != "AES-128" or form != "identity" or system:
        named = f"{system}, " if system else ""
        raise BadSource(
            f"The stream is protected by DRM, which Reelkeep does not touch ({named}{tag} METHOD={method[:40]})."
        )
    return True


def read_key(attributes: Mapping[str, str], absolute: Callable[[str], str]) -> Key | None:
    """The key that an EXT-X-KEY names; None for METHOD=NONE. Raises BadSource."""
    if not check_key("EXT-X-KEY", attributes):
        return None
    if not attributes.get("URI"):
        raise BadSource("The playlist is malformed: EXT-X-KEY has no URI.")
    iv = attributes.get("IV")
    if iv is not None and not re.fullmatch(r"0[xX][0-9a-fA-F]{1,32}", iv):
        raise BadSource("The playlist is malformed: the IV of an EXT-X-KEY is no number of 128 bits.")
    return Key(absolute(attributes["URI"]), None if iv is None else int(iv, 16).to_bytes(_BLOCK, "big"))


class KeyRing:
    """The stream's keys, each fetched once. `get` may be called from several threads at once."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._keys: dict[str, Future[bytes]] = {}
        self._lock = threading.Lock()

    def get(self, url: str) -> bytes:
        """The 16 bytes at `url`. Raises BadSource when they are others, and what fetching raises."""
        with self._lock:
            known = self._keys.get(url)
            future = known or self._keys.setdefault(url, Future())
        if known is None:
            try:
                future.set_result(_checked(_inline(url) if url.startswith("data:") else self._fetch(url)))
            except BaseException as error:
                with self._lock:
                    del self._keys[url]  # the next who asks tries again
                future.set_exception(error)
                raise
        return future.result()


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise BadSource("The stream's key (EXT-X-KEY) is not 16 bytes long: the source gave something else.")
    return key


def _inline(url: str) -> bytes:
    """The content of a data: URL (RFC 2397)."""
    head, _, data = url.partition(",")
    content = unquote_to_bytes(data)
    try:
        return base64.b64decode(content, validate=True) if head.endswith(";base64") else content
    except ValueError:
        raise BadSource("The playlist is malformed: the key in its EXT-X-KEY can't be read.") from None


class BadPadding(Exception):
    """What was decrypted doesn't end as it must: it is cut off, damaged, or the key is wrong."""


class Decryption:
    """One segment's AES-128-CBC with PKCS #7 padding, a piece at a time."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        # Loaded for encrypted streams only: it takes longer than all else that a download needs.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.padding import PKCS7

        self._cipher: CipherContext = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        self._padding = PKCS7(8 * _BLOCK).unpadder()

    def update(self, piece: bytes) -> bytes:
        """As much of the clear text as is certain by now."""
        return self._padding.update(self._cipher.update(piece))

    def finish(self) -> bytes:
        """The rest. Raises BadPadding."""
        try:
            return self._padding.update(self._cipher.finalize()) + self._padding.finalize()
        except ValueError as error:
            raise BadPadding from error
