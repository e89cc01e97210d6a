"""The manifest that lies beside every video: what it says, and how it is written and read.

One JSON object (RFC 8259) in UTF-8 on one line, its keys sorted, so that the same facts are the same bytes.
`manifest.schema.json` describes schema 1 for other programs. A field more or less is another schema: a manifest of a
newer one is refused rather than half understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.utils.timezone import now

from archive_site.addresses import display_url
from storage_app.models import SidecarKind, StorageAccount
from storage_app.naming import VideoKey

SCHEMA = 1
SUFFIX = ".json"
CONTENT_TYPE = "application/json"
MAX_BYTES = 1024 * 1024
PLAIN_URL = re.compile(r"(?:https?:/)?/[^\s?#]*")


@dataclass(frozen=True)
class FileEntry:
    """A file on the accounts: where it lies (repository without its user, path), and its content. `size` in bytes."""

    repo: str
    path: str
    sha256: str
    size: int
    content_type: str


@dataclass(frozen=True)
class SidecarEntry:
    """A file beside the video, as `Sidecar` knows it."""

    file: FileEntry
    kind: str
    language: str = ""
    name: str = ""


@dataclass(frozen=True)
class Primary:
    """The copy that players are led to: the account by its number, kind and user name, and the row's columns."""

    account: int
    kind: str
    username: str
    repo: str
    path: str
    direct_url: str


@dataclass(frozen=True)
class Manifest:
    """All that restores a row of `video_store`, but for its id. `duration` in seconds.

    Of two manifests of a video the one that was archived later is true, and of one archiving the higher revision.
    """

    key: VideoKey
    file_key: str
    title: str
    archived_at: datetime
    primary: Primary
    stream_url: str
    file: FileEntry
    """The video itself. It may lie under the name of another video that has the same content."""
    duration: float
    media: Mapping[str, Any]
    proof: Mapping[str, Any] | None
    sidecars: tuple[SidecarEntry, ...] = ()
    source: Mapping[str, str] | None = None
    """`video_url` and `page_url` in display form: without what may be secret."""
    revision: int = 1

    @property
    def name(self) -> str:
        """For sentences about the video."""
        parts = (str(self.key.mal_id), f"episode {self.key.episode}", self.key.provider, self.key.resolution or "")
        return " · ".join(part for part in parts if part)

    @property
    def path(self) -> str:
        """Where the manifest itself lies in its repository."""
        return own_path(self.key, self.file_key)

    @property
    def lies_with_file(self) -> bool:
        """Does the content lie under this video's own name?"""
        return self.path == str(PurePosixPath(self.file.path).with_suffix(SUFFIX))

    @property
    def age(self) -> tuple[datetime, int]:
        """Orders the manifests of one video."""
        return self.archived_at, self.revision

    def says_the_same(self, other: Manifest) -> bool:
        """But for its age."""
        return replace(self, archived_at=other.archived_at, revision=other.revision) == other

    def as_bytes(self) -> bytes:
        """The file. Raises ValueError when it would be larger than MAX_BYTES."""
        file = asdict(self.file) | {"duration": self.duration, "media": self.media, "proof": self.proof}
        said = {
            "schema": SCHEMA,
            "revision": self.revision,
            "archived_at": self.archived_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "key": asdict(self.key),
            "file_key": self.file_key,
            "title": self.title,
            "stream_url": self.stream_url,
            "primary": asdict(self.primary),
            "file": file,
            "sidecars": [
                asdict(sidecar.file) | {"kind": sidecar.kind, "language": sidecar.language, "name": sidecar.name}
                for sidecar in self.sidecars
            ],
            "source": dict(self.source or {}),
        }
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        data = text.encode() + b"\n"
        if len(data) > MAX_BYTES:
            raise ValueError(f"The manifest of {self.path} would have {len(data)} bytes, more than {MAX_BYTES}.")
        return data


def build(  # noqa: PLR0913 (each is a fact of its own)
    key: VideoKey,
    *,
    repo: str,
    path: str,
    content: Mapping[str, Any],
    title: str,
    sidecars: Sequence[Mapping[str, Any]],
    primary: StorageAccount,
    stream_url: str,
    direct_url: str,
    source: Mapping[str, str],
    archived_at: datetime | None = None,
) -> bytes:
    """The manifest of a video that is about to be published. Raises ValueError when it would be too large.

    `repo` and `path` say where its content lies; `content` has sha256, size, media and perhaps proof and content_type.
    Each sidecar has repo, path, sha256, size, content_type, kind and perhaps language and name; the manifest is none
    of them. `archived_at` is now if it isn't given: a time that stays the same over the tries of one job keeps the
    bytes the same, too.
    """
    media = content.get("media") or {}
    return Manifest(
        key=key,
        file_key=key.file_key(settings.HF_FILE_SALT),
        title=title,
        archived_at=archived_at or now(),
        primary=Primary(
            primary.index, primary.kind, primary.username, f"{primary.username}/{repo}", path, unsigned(direct_url)
        ),
        stream_url=unsigned(stream_url),
        file=FileEntry(repo, path, content["sha256"], content["size"], content.get("content_type") or "video/mp4"),
        duration=float(media.get("duration", 0)),
        media=media,
        proof=content.get("proof"),
        sidecars=tuple(
            SidecarEntry(
                FileEntry(*(sidecar[name] for name in ("repo", "path", "sha256", "size", "content_type"))),
                sidecar["kind"],
                sidecar.get("language", ""),
                sidecar.get("name", ""),
            )
            for sidecar in sidecars
            if sidecar["kind"] != SidecarKind.MANIFEST
        ),
        source=display_source(source),
    ).as_bytes()


def own_path(key: VideoKey, file_key: str) -> str:
    """Where a video's manifest lies: at the video's own path, with another suffix."""
    return f"{key.mal_id}/ep{key.episode}/{file_key}{SUFFIX}"


def is_manifest_path(path: str) -> bool:
    """Could a manifest lie there?"""
    return PurePosixPath(path).suffix == SUFFIX


def unsigned(url: str) -> str:
    """The URL without credentials, query and fragment, where a secret may be; "" for what is no http(s) URL or path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return plain if PLAIN_URL.fullmatch(plain) else ""


def display_source(source: Mapping[str, str]) -> dict[str, str]:
    """Where the video came from, as it may be shown to anybody."""
    return {name: display_url(url) for name in ("video_url", "page_url") if (url := source.get(name, ""))}
