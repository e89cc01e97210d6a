"""Forms of the queue's admin. They take what /trigger takes and refuse what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.html import format_html

from queue_app.api.serializers import MIRRORS_MAX, VideoRequestSerializer, check_video_url
from queue_app.models import VideoQueue
from queue_app.states import VideoStatus
from storage_app import key_rules
from storage_app.naming import VideoKey

KEY_FIELDS = ("mal_id", "episode", "provider", "resolution")


if TYPE_CHECKING:
    VideoForm = forms.ModelForm[VideoQueue]
else:
    VideoForm = forms.ModelForm


class AddVideoForm(VideoForm):
    """A new video. One that had failed or was cancelled takes the new URL and starts afresh."""

    # Django's own fields would quietly trim what the API refuses, and compare bounds with other words.
    mal_id = forms.IntegerField(
        label="Work", min_value=0, max_value=key_rules.WORK_MAX, help_text="Id of the work (any number)."
    )
    episode = forms.IntegerField(min_value=0, max_value=key_rules.EPISODE_MAX, help_text="From 0.")
    video_url = forms.CharField(
        label="Video URL",
        widget=forms.TextInput(attrs={"class": "vLargeTextField", "type": "url"}),
        help_text="Direct MP4/MKV, an HLS playlist, or a page with a video; http or https.",
    )
    page_url = forms.CharField(
        label="Page URL",
        required=False,
        widget=forms.TextInput(attrs={"class": "vLargeTextField", "type": "url"}),
        help_text="The page that the video URL was found on, if any: asked for a new one when that expires.",
    )
    mirrors = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text=f"Up to {MIRRORS_MAX} further URLs of the very same file, one on each line.",
    )

    class Meta:
        model = VideoQueue
        fields = (*KEY_FIELDS, "video_url", "page_url")

    page: str = ""
    mirror_urls: tuple[str, ...] = ()
    key: VideoKey | None = None

    def clean(self) -> dict[str, Any] | None:
        """The API's own validation, its sentences at the fields they belong to."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        video = VideoRequestSerializer(data=self.cleaned_data)
        if not video.is_valid():
            for field, sentences in video.errors.items():
                self.add_error(field, _sentences(sentences))
            return cleaned
        self.key = video.key
        self.page = video.validated_data.get("page_url", "")
        self.mirror_urls = tuple(video.validated_data.get("mirrors", ()))
        self._refuse_duplicate(video.key)
        return cleaned

    def _refuse_duplicate(self, key: VideoKey) -> None:
        job = VideoQueue.objects.filter(**key_rules.filter_by(key)).first()
        if job is None:
            return
        # Else Django would complain about the unique key in words of its own, also where the job is revived.
        self.instance = job
        if job.status in {VideoStatus.FAILED, VideoStatus.CANCELLED}:
            return
        link = reverse("admin:queue_app_videoqueue_change", args=[job.pk])
        raise ValidationError(
            format_html('This video is in the queue already: <a href="{}">{} ({})</a>.', link, job, job.status)
        )


def _sentences(errors: Any) -> list[str]:
    """A list's field tells which of its items are wrong; here each sentence is enough."""
    nested = errors.values() if isinstance(errors, dict) else [errors]
    return [str(sentence) for sentences in nested for sentence in sentences]


class ChangeVideoForm(VideoForm):
    """What an operator may change of a job. The rest belongs to the workers."""

    max_attempts = forms.IntegerField(
        min_value=1, max_value=1000, help_text="It is failed for good after so many attempts."
    )

    class Meta:
        model = VideoQueue
        fields = ("video_url", "page_url", "priority", "max_attempts")
        widgets = {
            name: forms.TextInput(attrs={"class": "vLargeTextField", "type": "url"})
            for name in ("video_url", "page_url")
        }
        help_texts = {
            "video_url": "Used from the next attempt on; running work keeps the old one. A new URL drops the mirrors."
        }

    def clean_video_url(self) -> str:
        """As the API does it."""
        return self._checked("video_url")

    def clean_page_url(self) -> str:
        """As the API does it; empty: there is no page."""
        return self._checked("page_url") if self.cleaned_data["page_url"] else ""

    def _checked(self, field: str) -> str:
        url: str = self.cleaned_data[field]
        if field not in self.changed_data:
            return url
        try:
            return check_video_url(url)
        except ValueError as refusal:
            raise ValidationError(str(refusal)) from None
