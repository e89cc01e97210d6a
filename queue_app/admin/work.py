"""Works and their sources in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import CharField, Count, Exists, F, Func, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, JSONObject, Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, PlainAdmin, age, pill, shortened
from archive_site.safe_http import display_url
from queue_app.admin.same_video import same_video
from queue_app.admin.source_actions import archive_now, archive_works, disable, enable, may_enqueue, resolve_now
from queue_app.admin.source_forms import SourceForm, SourceRowForm, SourceTableForms, WorkForm
from queue_app.models import ResolvedSource, VideoQueue, Work, WorkSource
from queue_app.sources.registering import add_sources
from storage_app.models import VideoStore

INLINE_MAX = 60
"""More sources are shown in their own list: a form of them all would be larger than is taken."""

# As Wanted.key says it.
CACHE_KEY = Func(
    F("resolver"),
    Coalesce(F("resolution"), Value("")),
    F("url"),
    template="encode(sha256(convert_to(%(expressions)s, 'UTF8')), 'hex')",
    arg_joiner=" || chr(10) || ",
    output_field=CharField(),
)

if TYPE_CHECKING:
    SourceTable = admin.TabularInline[WorkSource, Work]
else:
    SourceTable = admin.TabularInline


class SourceStateFilter(SimpleListFilter):
    """What an operator asks of sources."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """As they stand in the list."""
        return [("failing", "Can't be resolved"), ("archived", "Archived"), ("missing", "Not archived")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WorkSource]) -> QuerySet[WorkSource]:
        """By what is known."""
        if self.value() == "failing":
            failing = ResolvedSource.objects.filter(key=OuterRef("cache_key")).exclude(error="")
            return queryset.filter(Exists(failing))
        archived = Exists(same_video(VideoStore, stored_file__isnull=False))
        if self.value() == "archived":
            return queryset.filter(archived)
        return queryset.exclude(archived) if self.value() == "missing" else queryset


@admin.register(WorkSource)
class WorkSourceAdmin(PlainAdmin[WorkSource]):
    """All sources, those of one work together."""

    form = SourceForm
    list_display = ("video", "way", "state", "resolved", "enabled")
    list_filter = (SourceStateFilter, "enabled")
    search_fields = ("=work__mal_id", "work__title", "provider", "label", "url")
    search_help_text = "The number or title of a work, a provider, a label, or part of a URL."
    ordering = ("work", "episode", "position", "id")
    list_select_related = ("work",)
    raw_id_fields = ("work",)
    actions = [resolve_now, archive_now, enable, disable]
    readonly_fields = ("state", "resolved", "why")
    fields = (
        "work", "episode", ("provider", "resolution"), "label", "url", "resolver", ("position", "enabled"), "state",
        "resolved", "why",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkSource]:
        """With all that the list shows, in one query."""
        told = JSONObject(
            good=Q(url_resolved__isnull=False, error=""), error="error", by="resolver", at="resolved_at",
            url="url_resolved", fresh=Q(expires_at__gt=Now()),
        )  # fmt: skip
        known = ResolvedSource.objects.filter(key=OuterRef("cache_key"), resolved_at__isnull=False)
        return (
            super()
            .get_queryset(request)
            .annotate(cache_key=CACHE_KEY)
            .annotate(
                archived=Exists(same_video(VideoStore, stored_file__isnull=False)),
                job_status=Subquery(same_video(VideoQueue).values("status")[:1]),
                known=Subquery(known.values(told=told)[:1]),
            )
        )

    def has_archive_permission(self, request: HttpRequest) -> bool:
        """For who may enqueue."""
        return may_enqueue(request)

    def get_readonly_fields(self, request: HttpRequest, obj: WorkSource | None = None) -> Any:
        """A source stays with its work."""
        return (*self.readonly_fields, "work") if obj else ()

    def get_fields(self, request: HttpRequest, obj: WorkSource | None = None) -> Any:
        """Of a new one nothing is known."""
        return self.fields if obj else self.fields[:-3]

    @admin.display(description="video", ordering="work")
    def video(self, source: WorkSource) -> SafeString:
        """Work and episode, below them the key."""
        under = " · ".join(part for part in (source.work.title, source.provider, source.resolution) if part)
        return format_html("{} · episode {} <small>{}</small>", source.work_id, source.episode, under)

    @admin.display(description="state")
    def state(self, source: Any) -> SafeString:
        """Archived, or what its job does."""
        if source.archived:
            return pill("ready", "Archived")
        if source.job_status is None:
            return pill("cancelled", "Not enqueued")
        return pill(source.job_status, dict(VideoQueue.status.field.choices or ())[source.job_status])

    @admin.display(description="resolved")
    def resolved(self, source: Any) -> SafeString | str:
        """How it went last."""
        known = source.known
        if known is None:
            return NOTHING
        moment = age(parse_datetime(known["at"]), " ago")
        if known["good"]:
            return format_html("{} <small>by {}, {}</small>", pill("ready", "Resolved"), known["by"], moment)
        return format_html("{} <small>{} {}</small>", pill("failed", "Error"), shortened(known["error"]), moment)

    @admin.display(description="what came of it")
    def why(self, source: Any) -> str:
        """The whole error, or where it leads, without what may be secret of it."""
        if source.known is None:
            return "It was not asked for lately."
        return str(source.known["error"] or display_url(source.known["url"]))

    @admin.display(description="source", ordering="label")
    def way(self, source: WorkSource) -> SafeString:
        """What viewers choose by, and below it the URL without its query."""
        return format_html("{} <small>{}</small>", source.label, shortened(display_url(source.url), 40))


class WorkSourceInline(SourceTable):
    """A work's sources, to edit beside one another."""

    model = WorkSource
    form = SourceRowForm
    formset = SourceTableForms
    extra = 0
    show_change_link = True
    fields = ("episode", "provider", "resolution", "label", "url", "resolver", "position", "enabled")


@admin.register(Work)
class WorkAdmin(PlainAdmin[Work]):
    """Works whose sources are registered."""

    form = WorkForm
    list_display = ("__str__", "episodes", "sources", "changed")
    search_fields = ("=mal_id", "title")
    search_help_text = "The number of a work, or part of its title."
    ordering = ("-updated_at", "mal_id")
    actions = [archive_works]
    inlines = (WorkSourceInline,)
    readonly_fields = ("watch", "created_at", "updated_at")
    fields = ("mal_id", "title", "paste", "watch", ("created_at", "updated_at"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Work]:
        """With how much there is."""
        numbers = {"n_sources": Count("sources"), "n_episodes": Count("sources__episode", distinct=True)}
        return super().get_queryset(request).annotate(**numbers)

    def has_archive_permission(self, request: HttpRequest) -> bool:
        """For who may enqueue."""
        return may_enqueue(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Work | None = None) -> Any:
        """A work keeps its number."""
        return (*self.readonly_fields, "mal_id") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Work | None = None) -> Any:
        """Of a new one there is nothing to see."""
        fields = self.fields if obj else self.fields[:3]
        return fields if _may_paste(request) else [name for name in fields if name != "paste"]

    def get_form(self, request: HttpRequest, obj: Work | None = None, change: bool = False, **kwargs: Any) -> Any:
        """With lines to add for who may add and change sources: a line may do either."""
        form = super().get_form(request, obj, change, **kwargs)
        if not _may_paste(request):
            form.base_fields.pop("paste", None)
        return form

    def get_inlines(self, request: HttpRequest, obj: Work | None) -> Any:
        """Only so many as fit into a form."""
        return () if obj is not None and obj.sources.count() > INLINE_MAX else self.inlines

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """What was pasted comes behind the others."""
        super().save_related(request, form, formsets, change)
        if form.pasted:
            done = add_sources(form.instance.pk, form.pasted)
            self.message_user(request, f"{done.added} sources added, {done.changed} changed.")
        Work.objects.filter(pk=form.instance.pk).update(updated_at=Now())

    @admin.display(description="episodes", ordering="n_episodes")
    def episodes(self, work: Any) -> int:
        """Of which there is a source."""
        return int(work.n_episodes)

    @admin.display(description="sources", ordering="n_sources")
    def sources(self, work: Any) -> SafeString:
        """A link to them."""
        url = reverse("admin:queue_app_worksource_changelist")
        return format_html('<a href="{}?work={}">{}</a>', url, work.pk, work.n_sources)

    @admin.display(description="last change", ordering="updated_at")
    def changed(self, work: Work) -> SafeString | str:
        """How long ago."""
        return age(work.updated_at, " ago")

    @admin.display(description="what players are told")
    def watch(self, work: Work) -> SafeString | str:
        """A link for each of the first episodes, and one to the list of sources."""
        numbers = work.sources.order_by("episode").values_list("episode", flat=True).distinct()[:INLINE_MAX]
        pairs = [(reverse("streaming", args=[work.pk, number]), number) for number in numbers]
        links = format_html_join(" · ", '<a href="{}">episode {}</a>', pairs)
        return format_html("{} ({} sources)", links, self.sources(work)) if pairs else NOTHING


def _may_paste(request: HttpRequest) -> bool:
    return request.user.has_perms(["queue_app.add_worksource", "queue_app.change_worksource"])
