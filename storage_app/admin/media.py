"""What is in a stored file, and how it was proven whole, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, duration, size

_HEADERS = ("Stream", "Codec", "Picture or sound", "Length", "Bit rate", "Language")
_MODES = {
    "full": "Every packet was read, and all of it decoded to the end",
    "sampled": "Every packet was read, and samples of it decoded",
    "off": "Size, structure and length were looked at, nothing was decoded",
}


def stream_table(media: dict[str, Any] | None) -> SafeString | str:
    """One line for each stream, and all that ffprobe found to be unfolded."""
    if not media:
        return NOTHING
    head = format_html_join("", "<th>{}</th>", ((name,) for name in _HEADERS))
    rows = format_html_join("", "<tr>{}</tr>", ((_cells(_row(stream)),) for stream in media.get("streams", ())))
    table = format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, rows)
    return format_html("{}{}", table, _unfold("All that ffprobe found", media))


def proof_summary(proof: dict[str, Any] | None) -> SafeString | str:
    """In sentences, with the whole report to be unfolded."""
    if not proof:
        return NOTHING
    lines = format_html_join("", "<p>{}</p>", ((line,) for line in _sentences(proof)))
    return format_html("{}{}", lines, _unfold("The whole report", proof))


def _sentences(proof: dict[str, Any]) -> Iterator[str]:
    decoded = proof.get("decoded") or {}
    how = _MODES.get(proof.get("mode", ""), "Proven")
    pictures = f", {decoded['pictures']} pictures" if decoded.get("pictures") else ""
    yield f"{how}{pictures}, in {proof.get('seconds', 0):.1f} s."
    expected = proof.get("expected_duration")
    if expected is not None:
        yield f"The source announced {expected:.1f} s, the file has {proof.get('duration', 0):.1f} s."
    if proof.get("page_duration") is not None:
        yield f"The page said that it is {proof['page_duration']:.0f} s long."
    yield from proof.get("warnings", ())
    for index in proof.get("not_decoded", ()):
        yield f"Stream {index} was not decoded: this ffmpeg has no decoder for it."


def _row(stream: dict[str, Any]) -> Iterable[str]:
    rate = stream.get("bit_rate")
    yield f"{stream.get('index', '')} {stream.get('kind', '')}"
    yield " ".join(str(part) for part in (stream.get("codec"), stream.get("profile")) if part)
    yield _shape(stream)
    yield duration(stream.get("duration"))
    yield f"{size(rate // 8)}/s" if rate else NOTHING
    yield stream.get("language") or NOTHING


def _shape(stream: dict[str, Any]) -> str:
    if stream.get("width"):
        fps = f", {stream['fps']:g} fps" if stream.get("fps") else ""
        return f"{stream['width']}×{stream['height']}{fps}"
    parts = (
        f"{stream['channels']} channels" if stream.get("channels") else "",
        f"{stream['sample_rate']} Hz" if stream.get("sample_rate") else "",
    )
    return ", ".join(part for part in parts if part) or NOTHING


def _cells(values: Iterable[str]) -> SafeString:
    return format_html_join("", "<td>{}</td>", ((value,) for value in values))


def _unfold(title: str, value: dict[str, Any]) -> SafeString:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html("<details><summary>{}</summary><pre>{}</pre></details>", title, text)
