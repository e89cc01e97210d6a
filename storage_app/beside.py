"""What lies beside an archived video, as players need it: captions, a poster, previews for its seek bar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from asgiref.sync import async_to_sync

from storage_app.models import Sidecar, SidecarKind, StoredFile, VideoStore
from storage_app.playback.copies import NoCopyLeft, find_present, whole
from storage_app.replicas import copies_of

VTT = "text/vtt"
PICTURES = {"image/jpeg", "image/png", "image/webp"}


@dataclass(frozen=True)
class Captions:
    """One text track. `label` is empty where the source named neither it nor its language."""

    url: str
    language: str
    label: str


@dataclass(frozen=True)
class Storyboard:
    """Pictures for the seek bar: cues of `url` (WebVTT) name a picture and `#xywh=…` inside it (Media Fragments §4.2).

    `pictures` leads from the name that cues use, a file's last segment, to its URL.
    """

    url: str
    pictures: dict[str, str]


@dataclass(frozen=True)
class Beside:
    """All of it; nothing where there is none."""

    captions: tuple[Captions, ...] = ()
    poster: str | None = None
    storyboard: Storyboard | None = None


def beside(videos: Iterable[VideoStore]) -> Beside:
    """What lies beside the first of these videos that has it; one query for all of them."""
    order = {video.pk: number for number, video in enumerate(videos)}
    kinds = (SidecarKind.SUBTITLES, SidecarKind.THUMBNAIL, SidecarKind.STORYBOARD)
    rows = Sidecar.objects.filter(video__in=order, kind__in=kinds).select_related("stored_file")
    found: dict[str, list[Sidecar]] = {kind: [] for kind in kinds}
    for row in sorted(rows, key=lambda row: (order[row.video_id], row.language, row.pk)):
        of_kind = found[row.kind]
        if not of_kind or of_kind[0].video_id == row.video_id:
            of_kind.append(row)
    pictures = [row for row in found[SidecarKind.THUMBNAIL] if row.stored_file.content_type in PICTURES]
    return Beside(
        tuple(_captions(row) for row in found[SidecarKind.SUBTITLES] if _is_vtt(row.stored_file)),
        _picture_url(pictures[0].stored_file) if pictures else None,
        _storyboard([row.stored_file for row in found[SidecarKind.STORYBOARD]]),
    )


def captions_file(file_id: UUID) -> StoredFile | None:
    """The WebVTT file with this id: captions, or the index of a storyboard."""
    file = _file(file_id, SidecarKind.SUBTITLES, SidecarKind.STORYBOARD)
    return file if file is not None and _is_vtt(file) else None


def picture_file(file_id: UUID) -> StoredFile | None:
    """The thumbnail or picture of a storyboard with this id."""
    file = _file(file_id, SidecarKind.THUMBNAIL, SidecarKind.STORYBOARD)
    return file if file is not None and file.content_type in PICTURES else None


def content_of(file: StoredFile) -> bytes:
    """The whole file, from any of its copies. Raises NoCopyLeft."""
    return whole(copies_of(file), file.size)


def require_copy(file: StoredFile) -> None:
    """Is there a copy, as far as this host can tell without reading it? Raises NoCopyLeft where there is none."""
    there = async_to_sync(find_present)(copies_of(file), file.size, lambda _: None)
    if not there:
        raise NoCopyLeft


def _file(file_id: UUID, *kinds: SidecarKind) -> StoredFile | None:
    return StoredFile.objects.filter(pk=file_id, sidecars__kind__in=kinds).first()


def _is_vtt(file: StoredFile) -> bool:
    return file.content_type.partition(";")[0].strip().lower() == VTT


def _captions(row: Sidecar) -> Captions:
    return Captions(_captions_url(row.stored_file), row.language, row.name)


def _storyboard(files: list[StoredFile]) -> Storyboard | None:
    index = next((file for file in files if _is_vtt(file)), None)
    pictures = {PurePosixPath(file.path).name: _picture_url(file) for file in files if file.content_type in PICTURES}
    return Storyboard(_captions_url(index), pictures) if index is not None and pictures else None


def _captions_url(file: StoredFile) -> str:
    return f"/captions/{file.pk}.vtt"


def _picture_url(file: StoredFile) -> str:
    return f"/pictures/{file.pk}"
