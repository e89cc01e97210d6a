"""Names under which people keep downloaded videos, and how an answer says them (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from storage_app.naming import VideoKey

_LONGEST = 150  # bytes of UTF-8: file systems take 255, and browsers add " (1)"
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u2028\u2029]+')
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def file_name(key: VideoKey, title: str | None, suffix: str = ".mp4") -> str:
    """Title, episode, provider and resolution; without a title the work's number."""
    name = _plain(title or "") or f"Work {key.mal_id}"
    rest = _plain(" ".join(part for part in (key.provider, key.resolution) if part))
    return f"{_cut(name)} - {key.episode:02} [{rest}]{suffix}"


def attachment(name: str) -> str:
    """The value of Content-Disposition: the name in ASCII for old clients, and as it is."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._()\[\]-]+", "", plain)
    plain = re.sub(r" {2,}", " ", plain).strip(" -") or "video"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _plain(text: str) -> str:
    """Without what file systems refuse and what nobody sees (direction marks among it)."""
    seen = "".join(" " if unicodedata.category(one) in _UNSEEN else one for one in text)
    return re.sub(r"\s+", " ", _FORBIDDEN.sub(" ", unicodedata.normalize("NFC", seen))).strip(" .")


def _cut(text: str) -> str:
    return text.encode()[:_LONGEST].decode(errors="ignore").strip()
