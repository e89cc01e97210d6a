"""Forms of works and their sources. They take what the API takes and refuse what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from rest_framework.exceptions import ValidationError as Refused

from queue_app.api.serializers import check_video_url
from queue_app.api.source_serializers import TWICE, SourceSerializer, WorkRequestSerializer, checked
from queue_app.models import Work, WorkSource
from queue_app.resolvers import asking
from queue_app.sources.registering import default_label, key_of
from storage_app import key_rules

if TYPE_CHECKING:
    SourceModelForm = forms.ModelForm[WorkSource]
    WorkModelForm = forms.ModelForm[Work]
    InlineForms = forms.BaseInlineFormSet[WorkSource, Work, SourceModelForm]
else:
    SourceModelForm = WorkModelForm = forms.ModelForm
    InlineForms = forms.BaseInlineFormSet

_COLUMNS = ("episode", "provider", "resolution", "url", "label")


def _resolvers() -> list[tuple[str, str]]:
    return [("", "each in turn"), *((name, name) for name in asking.names())]


class SourceForm(SourceModelForm):
    """A source."""

    episode = forms.IntegerField(
        min_value=0, max_value=key_rules.EPISODE_MAX, widget=forms.NumberInput(attrs={"class": "vIntegerField"})
    )
    label = forms.CharField(
        required=False, widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="What viewers choose by, for example “Vidhidepro 720p”; empty: provider and resolution.",
    )  # fmt: skip
    url = forms.CharField(
        label="URL", widget=forms.TextInput(attrs={"class": "vLargeTextField", "type": "url"}),
        help_text="A page, an HLS playlist or a file; http or https.",
    )  # fmt: skip
    resolver = forms.ChoiceField(choices=_resolvers, required=False, help_text="The only one to ask, or each in turn.")

    class Meta:
        model = WorkSource
        fields = ("episode", "provider", "resolution", "label", "url", "resolver", "position", "enabled")

    def clean(self) -> dict[str, Any] | None:
        """The API's own validation, its sentences at the fields they belong to."""
        cleaned = super().clean()
        if cleaned is None or self.errors:
            return cleaned
        rule = check_video_url if "url" in self.changed_data else _as_it_was
        source = SourceSerializer(data=self.cleaned_data, context={"check_url": rule})
        if not source.is_valid():
            for field, sentences in source.errors.items():
                self.add_error(field, [str(sentence) for sentence in sentences])
            return cleaned
        cleaned["resolution"] = source.validated_data.get("resolution") or None
        cleaned["label"] = cleaned["label"] or default_label(cleaned["provider"], cleaned["resolution"])
        return cleaned


class SourceRowForm(SourceForm):
    """The same as a row of a table."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, width in {"provider": 8, "resolution": 5, "label": 16, "url": 32, "position": 4}.items():
            self.fields[name].widget = forms.TextInput(attrs={"size": width})


class SourceTableForms(InlineForms):
    """All rows of the table."""

    def clean(self) -> None:
        """No two may be the same: the database would refuse the second."""
        super().clean()
        seen = set()
        for row in self.forms:
            data = row.cleaned_data if row.is_valid() else {}
            if not data or data.get("DELETE"):
                continue
            key = key_of(data)
            if key in seen:
                row.add_error("url", TWICE)
            seen.add(key)


class WorkForm(WorkModelForm):
    """A work, and lines to add to its sources."""

    mal_id = forms.IntegerField(
        label="Work", min_value=0, max_value=key_rules.WORK_MAX, help_text="Id of the work (any number)."
    )
    paste = forms.CharField(
        label="Add sources", required=False, strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField"}),
        help_text="One on each line: episode | provider | resolution | URL | label. The resolution may be empty, the "
        "label left out. What is registered already takes the new label and stays as it is otherwise.",
    )  # fmt: skip

    class Meta:
        model = Work
        fields = ("mal_id", "title")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pasted: list[dict[str, Any]] = []

    def clean_paste(self) -> str:
        """Each line's faults by its number."""
        text: str = self.cleaned_data["paste"]
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        faults = [f"Line {number}: write at least episode | provider | resolution | URL." for number, line in lines
                  if line.count("|") < 3]  # fmt: skip
        if faults:
            raise ValidationError(faults)
        rows = [_row(line) for _, line in lines]
        try:
            found = checked(WorkRequestSerializer, {"title": "-", "sources": rows})["sources"] if rows else []
        except Refused as refusal:
            raise ValidationError(_by_line(refusal, [number for number, _ in lines])) from None
        # What a line can't say isn't said by it.
        self.pasted = [{name: source[name] for name in _COLUMNS if name in source} for source in found]
        return text


def _row(line: str) -> dict[str, str]:
    return dict(zip(_COLUMNS, (part.strip() for part in line.split("|", 4)), strict=False))


def _by_line(refusal: Refused, numbers: list[int]) -> list[str]:
    detail: Any = refusal.detail
    sources = detail["sources"]
    if not isinstance(sources, dict) or not all(str(place).isdigit() for place in sources):
        return [str(sentence) for sentence in (sources if isinstance(sources, list) else sources.values())]
    return [
        f"Line {numbers[int(place)]}: {field}: {sentence}"
        for place, fields in sources.items()
        for field, sentences in fields.items()
        for sentence in sentences
    ]


def _as_it_was(value: object) -> str:
    """A URL that was looked at when it was registered; its host's name need not be looked up again."""
    return str(value)
