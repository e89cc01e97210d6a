"""How many copies there are, and how many there should be."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Count, F, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from storage_app.models import Replica, StorageAccount


def count_copies(stored_file: str) -> Coalesce:
    """Copies of the file that the column `stored_file` of the outer query names."""
    rows = Replica.objects.filter(stored_file=OuterRef(stored_file)).order_by()
    counted = rows.values("stored_file").annotate(n=Count("id")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def count_wanted(stored_file: str) -> Coalesce:
    """Copies that the file at `stored_file` of the outer query should have: by its placement, else one on every account
    in use."""
    rows = StorageAccount.objects.filter(enabled=True).order_by()
    counted = rows.values("enabled").annotate(n=Count("index")).values("n")
    accounts = Subquery(counted, output_field=IntegerField())
    return Coalesce(F(f"{stored_file}__copies_wanted"), accounts, 0, output_field=IntegerField())


class CopiesFilter(SimpleListFilter):
    """Are there enough copies?"""

    title = "copies"
    parameter_name = "copies"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        """Value and label."""
        return [("under", "Under-replicated"), ("enough", "Enough")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Unknown values filter nothing."""
        # Counted by VideoStoreAdmin.get_queryset.
        match self.value():
            case "under":
                return queryset.filter(copies__lt=F("wanted_copies"))
            case "enough":
                return queryset.filter(copies__gte=F("wanted_copies"))
        return queryset
