"""Archived videos in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, ReadOnlyAdmin, age, duration, pill, size
from storage_app.admin.copies import CopiesFilter, count_copies, count_wanted
from storage_app.admin.media import proof_summary, stream_table
from storage_app.key_rules import WORK_MAX
from storage_app.models import VideoStore
from storage_app.naming import VideoKey


@admin.register(VideoStore)
class VideoStoreAdmin(ReadOnlyAdmin[VideoStore]):
    """Everything that can be played, newest first. Deleting comes with its own page."""

    list_display = (
        "work",
        "episode",
        "provider",
        "resolution",
        "bytes",
        "length",
        "copies",
        "archived",
        "play",
    )
    list_filter = (CopiesFilter,)
    list_select_related = ("stored_file",)
    search_fields = ("file_key",)
    search_help_text = "The number of a work, or a file key."
    ordering = ("-created_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "player",
                    "title",
                    ("work", "episode", "provider", "resolution"),
                    ("bytes", "length", "copies"),
                )
            },
        ),
        (
            "Copies",
            {"fields": ("replicas", "hf_account", "hf_repo", "hf_path", "hf_direct_url", "stream_url")},
        ),
        ("Beside it", {"fields": ("sidecars",)}),
        ("Proof", {"fields": ("proof", "probed")}),
        ("Record", {"fields": ("id", "file_key", "sha256", "created_at")}),
    )
    readonly_fields = (
        "player",
        "work",
        "bytes",
        "length",
        "copies",
        "replicas",
        "sidecars",
        "sha256",
        "proof",
        "probed",
        "id",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[VideoStore]:
        """With the number of copies there are and should be."""
        rows = super().get_queryset(request).select_related("stored_file")
        return rows.annotate(copies=count_copies("stored_file"), wanted_copies=count_wanted("stored_file"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[VideoStore], search_term: str
    ) -> tuple[QuerySet[VideoStore], bool]:
        """By number of the work or by file key."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(file_key=term)
        if term.isascii() and term.isdigit() and len(term) < 20 and int(term) <= WORK_MAX:
            found |= Q(mal_id=int(term))
        return queryset.filter(found), False

    @admin.display(description="work", ordering="mal_id")
    def work(self, video: VideoStore) -> str:
        """Without a thousands separator: it is a name."""
        return str(video.mal_id)

    @admin.display(description="size", ordering="stored_file__size")
    def bytes(self, video: VideoStore) -> str:
        """In its largest unit."""
        return size(video.stored_file.size) if video.stored_file else NOTHING

    @admin.display(description="length", ordering="stored_file__duration")
    def length(self, video: VideoStore) -> str:
        """As a clock shows it."""
        return duration(video.stored_file.duration) if video.stored_file else NOTHING

    @admin.display(description="copies")
    def copies(self, video: Any) -> SafeString:
        """There are, of how many there should be."""
        enough = video.copies >= video.wanted_copies
        return pill("ready" if enough else "failed", f"{video.copies} of {video.wanted_copies}")

    @admin.display(description="archived", ordering="created_at")
    def archived(self, video: VideoStore) -> SafeString | str:
        """How long ago."""
        return age(video.created_at, " ago")

    @admin.display(description="play")
    def play(self, video: VideoStore) -> SafeString:
        """Leads to the video itself."""
        return format_html('<a href="{}">Play</a>', _path(video))

    @admin.display(description="player")
    def player(self, video: VideoStore) -> SafeString:
        """The video in the page, from this site, so that what is checked is what lies here."""
        return format_html('<video class="rk-player" controls preload="metadata" src="{}"></video>', _path(video))

    @admin.display(description="replicas")
    def replicas(self, video: VideoStore) -> SafeString | str:
        """One line for each confirmed copy."""
        if video.stored_file is None:
            return "None known: an older client stored this video, telling only the primary copy's URL."
        rows = [
            (
                replica.account,
                replica.account.root,
                "yes" if replica.account.enabled else "no",
                f"{replica.verified_at:%Y-%m-%d %H:%M:%S}",
            )
            for replica in video.stored_file.replicas.select_related("account").order_by("account_id")
        ]
        lines = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        return format_html(
            "<table><thead><tr><th>Account</th><th>Folder</th><th>In use</th><th>Verified (UTC)</th></tr>"
            "</thead>"
            "<tbody>{}</tbody></table>",
            lines,
        )

    @admin.display(description="sha256")
    def sha256(self, video: VideoStore) -> str:
        """Of the stored file."""
        return video.stored_file.sha256 if video.stored_file else NOTHING

    @admin.display(description="thumbnail and subtitles")
    def sidecars(self, video: VideoStore) -> SafeString | str:
        """One line for each, leading to the file."""
        rows = [
            (reverse("admin:storage_app_sidecar_file", args=[sidecar.pk]), sidecar, size(sidecar.stored_file.size))
            for sidecar in video.sidecars.select_related("stored_file").order_by("kind", "language", "id")
        ]
        return format_html_join("", '<a href="{}">{}</a> {}<br>', rows) or NOTHING

    @admin.display(description="proof")
    def proof(self, video: VideoStore) -> SafeString | str:
        """How it was found to be whole, and what was noticed."""
        return proof_summary(video.stored_file.proof if video.stored_file else None)

    @admin.display(description="media")
    def probed(self, video: VideoStore) -> SafeString | str:
        """What ffprobe found."""
        return stream_table(video.stored_file.media if video.stored_file else None)


def _path(video: VideoStore) -> str:
    return VideoKey(video.mal_id, video.episode, video.provider, video.resolution).stream_path()
