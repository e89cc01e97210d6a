"""Archived videos in the admin."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.forms.widgets import Script
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, ReadOnlyAdmin, age, duration, pill, shortened, size, table
from storage_app.admin.account_page import account_link, state_of
from storage_app.admin.copies import CopiesFilter, count_copies, count_wanted
from storage_app.admin.media import proof_summary, stream_table
from storage_app.admin.video_actions import VideoActions
from storage_app.key_rules import WORK_MAX
from storage_app.models import VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.urls import stream_url


@admin.register(VideoStore)
class VideoStoreAdmin(VideoActions, ReadOnlyAdmin[VideoStore]):
    """Everything that can be played, newest first. Deleting has a page of its own."""

    class Media:
        js = [Script("player/copy.js", type="module")]

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
    actions = ["verify", "replicate", "delete_videos"]
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
        """Leads to its page."""
        return format_html('<a href="{}">Play</a>', _key(video).watch_path())

    @admin.display(description="player")
    def player(self, video: VideoStore) -> SafeString:
        """The player in a frame, and the links that people are given."""
        watch, stream = _key(video).watch_path(), stream_url(_key(video))
        return format_html(
            '<iframe class="rk-player" src="{}?embed=1" title="Player" allow="fullscreen; picture-in-picture"></iframe>'
            '<p class="rk-links">'
            '<span><a href="{}">Watch page</a> <button type="button" data-copy="{}">Copy link</button></span>'
            '<span><a href="{}">Video URL</a> <button type="button" data-copy="{}">Copy URL</button></span></p>',
            watch, watch, settings.PUBLIC_URL + watch, stream, stream,
        )  # fmt: skip

    @admin.display(description="replicas")
    def replicas(self, video: VideoStore) -> SafeString | str:
        """One line for each confirmed copy."""
        if video.stored_file is None:
            return "None known: an older client stored this video, telling only the primary copy's URL."
        rows = [
            (
                account_link(replica.account),
                state_of(replica.account),
                shortened(replica.etag, 20),
                age(replica.verified_at, " ago"),
                age(replica.scrubbed_at, " ago"),
            )
            for replica in video.stored_file.replicas.select_related("account").order_by("account_id")
        ]
        return table(("Account", "State", "Its mark (etag)", "Verified", "Read back whole"), rows)

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


def _key(video: VideoStore) -> VideoKey:
    return VideoKey(video.mal_id, video.episode, video.provider, video.resolution)
