"""What kind of file begins with these bytes. Looks at magic numbers only; `probe` looks inside."""

from __future__ import annotations

import codecs

SNIFF_BYTES = 1024
"""How much of a file's beginning `container_of` and `looks_like_text` want."""

_EBML = b"\x1a\x45\xdf\xa3"  # RFC 8794 §11.2
_MAGIC = {b"FLV\x01": "flv", b"OggS": "ogg", b"\x00\x00\x01\xba": "mpeg"}  # RFC 3533 §6, ISO/IEC 13818-1 §2.5.3.3
_TS_SYNC = 0x47  # ISO/IEC 13818-1 §2.4.3.2: every packet of 188 bytes begins with it
_MP4_FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_FRAGMENT_BOXES = {b"styp", b"moof", b"sidx", b"emsg", b"prft"}
_XML_OR_JSON = (b"<", b"{", b"[")


def container_of(head: bytes) -> str | None:
    """'mp4', 'mov', 'fmp4' (a fragment without its beginning), 'matroska', 'webm', 'mpegts', 'avi', 'flv', 'ogg',
    'mpeg' (MPEG-PS), or None.
    """
    if head.startswith(_EBML):
        return "webm" if b"webm" in head[:64] else "matroska"
    box = head[4:8]
    if box in _FRAGMENT_BOXES:
        return "fmp4"
    if box in _MP4_FIRST_BOXES:
        # ISO/IEC 14496-12 §4.3; a file without `ftyp` is from before that standard, hence QuickTime.
        return "mp4" if box == b"ftyp" and head[8:12] != b"qt  " else "mov"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    for magic, container in _MAGIC.items():
        if head.startswith(magic):
            return container
    return "mpegts" if _is_mpegts(head) else None


def looks_like_text(head: bytes) -> bool:
    """Is this the beginning of HTML, XML, JSON or plain text rather than of media?"""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(_XML_OR_JSON) and b"\x00" not in text[:64]:
        return True
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    try:
        decoded = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\t\r\n\f" for c in decoded)


def _is_mpegts(head: bytes) -> bool:
    # Blu-ray's variant puts a time stamp of 4 bytes before each packet.
    for first, step in ((0, 188), (4, 192)):
        syncs = head[first::step]
        if len(head) > first and all(byte == _TS_SYNC for byte in syncs):
            return True
    return False
