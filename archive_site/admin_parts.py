"""Building blocks of our admin pages. They know nothing about videos."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.timesince import timesince, timeuntil
from django.utils.timezone import now

M = TypeVar("M", bound=Model)

NOTHING = "-"
COUNT_UP_TO = 10_000
SHOWN_FOR_CONFIRMATION = 20
UNITS = {
    name: base**power
    for base, ending in ((1000, "B"), (1024, "iB"))
    for power, letter in enumerate(("", "K", "M", "G", "T", "P"))
    for name in ((f"{letter}{ending}",) if power else ("B",))
}
"""Bytes in each unit, by its name: B, KB … PB, KiB … PiB."""


# Django's classes are generic to mypy alone.
if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]

    class _ModelAdmin(admin.ModelAdmin[M]): ...
else:
    AnyPaginator = Paginator

    class _ModelAdmin(admin.ModelAdmin, Generic[M]): ...


class CappedPaginator(AnyPaginator):
    """Stops counting at 10 000 rows, so that a page costs the same however long the history is."""

    @cached_property
    def count(self) -> int:
        """How many rows the pages reach."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNT_UP_TO].count())


class PlainAdmin(_ModelAdmin[M]):
    """What all our lists share."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # counting each filter's rows would read the whole history
    list_per_page = 50
    paginator = CappedPaginator
    empty_value_display = NOTHING

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; PostgreSQL knows no NUL, so a query string that holds one is dropped."""
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            return HttpResponseRedirect(request.path)
        title = capfirst(str(self.model._meta.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> M | None:
        """The row, or None, also for ids that no row can have."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)


class ReadOnlyAdmin(PlainAdmin[M]):
    """Rows that only the programme writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Never."""
        return False


class SizeField(forms.Field):
    """Bytes, written with or without a unit: 500 GB, 1.5 TiB, 1000000."""

    widget = forms.TextInput(attrs={"class": "vTextField rk-size", "placeholder": "for example 500 GB"})

    def to_python(self, value: Any) -> int | None:
        """Whole bytes."""
        text = str(value if value is not None else "").strip()
        if not text:
            return None
        match = re.fullmatch(r"([0-9]{1,19}(?:[.,][0-9]{1,6})?)\s*([A-Za-z]*)", text)
        unit = {name.lower(): factor for name, factor in UNITS.items()}.get(match[2].lower() or "b") if match else None
        if match is None or unit is None:
            raise ValidationError("Write a size such as 500 GB, 1.5 TiB or a number of bytes.")
        number = int(Decimal(match[1].replace(",", ".")) * unit)
        if number > 2**63 - 1:
            raise ValidationError("That is more than there can be.")
        return number

    def prepare_value(self, value: Any) -> Any:
        """In the largest unit that takes no fraction."""
        if not isinstance(value, int):
            return value
        fitting = [(factor, name) for name, factor in UNITS.items() if value >= factor and value % factor == 0]
        factor, name = max(fitting, default=(1, "B"))
        return f"{value // factor} {name}"

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Another number of bytes, not another spelling."""
        try:
            return bool(initial != self.to_python(data))
        except ValidationError:
            return True


def counted(number: int, noun: str) -> str:
    """1 account, 2 accounts, 0 copies."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else many}"


def pill(kind: str, text: str) -> SafeString:
    """A status as a coloured word; `kind` picks the colour in admin.css."""
    return format_html('<span class="rk-pill rk-{}">{}</span>', kind, text)


def progress_bar(percent: int | None, text: str) -> SafeString:
    """A bar with its text below; a moving one while the size is unknown."""
    if percent is None:
        return format_html('<progress class="rk-progress" aria-label="{}"></progress> <small>{}</small>', text, text)
    return format_html(
        '<progress class="rk-progress" max="100" value="{}" aria-label="{} %"></progress> <small>{}</small>',
        percent,
        percent,
        text,
    )


def shortened(text: str | None, length: int = 60) -> SafeString | str:
    """The beginning of a long text; the whole of it when the pointer rests there."""
    if not text:
        return NOTHING
    return format_html('<span title="{}">{}</span>', text, Truncator(text).chars(length))


def age(moment: Any, suffix: str = "") -> SafeString | str:
    """How long since then, in its largest unit."""
    if moment is None:
        return NOTHING
    words = timesince(moment, now(), depth=1)
    words = "just now" if words.startswith("0") else words + suffix
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), moment, words)


def for_long(moment: Any) -> SafeString | str:
    """How much longer something lasts that ends then; nothing once it is over."""
    if moment is None or moment <= now():
        return NOTHING
    words = timeuntil(moment, depth=1)
    words = "less than a minute" if words.startswith("0") else words
    return format_html('<time datetime="{}" title="until {}">for {}</time>', moment.isoformat(), moment, words)


def confirmation(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any], action: str, template: str,
    **more: Any,
) -> TemplateResponse:  # fmt: skip
    """The page that asks before an action: `title`, `yes` (the button's words), perhaps a `form`, what it shows.

    The answer comes back to the action with `confirmed` = yes.
    """
    count = queryset.count()
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.model._meta,
        "action": action,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "ids": list(queryset.order_by().values_list("pk", flat=True)),
        "shown": queryset[:SHOWN_FOR_CONFIRMATION],
        "count": count,
        "more": count - SHOWN_FOR_CONFIRMATION,
        **more,
    }
    return TemplateResponse(request, template, context)


def log_changes(request: HttpRequest, changed: QuerySet[Any], message: str, *, flag: int = CHANGE) -> None:
    """Writes down for each of these rows who changed it and what; call it before they leave the queryset."""
    LogEntry.objects.log_actions(
        user_id=request.user.pk or 0, queryset=changed, action_flag=flag, change_message=message
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> SafeString:
    """Rows under their heads; it scrolls where it is wider than the page."""
    head = format_html_join("", "<th>{}</th>", ((name,) for name in heads))
    cells = ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    body = format_html_join("", "<tr>{}</tr>", cells)
    return format_html(
        '<div class="rk-scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>', head, body
    )


def size(number: int | None) -> str:
    """Bytes in their largest unit."""
    return NOTHING if number is None else filesizeformat(number).replace("\xa0", " ")


def duration(seconds: float | None) -> str:
    """h:mm:ss or m:ss."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
