"""How fast an account fills, and when it will be full."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.aggregates import RegrSlope
from django.db.models import Count, FloatField, Max, Min, OuterRef, QuerySet, Subquery, Sum
from django.db.models.fields import BigIntegerField
from django.db.models.functions import Cast, Coalesce, Extract, Now
from django.utils.timezone import now

from storage_app.models import CapacitySample, Replica, Reservation, StorageAccount

LOOKS_BACK = timedelta(days=30)
AT_LEAST = timedelta(hours=12)
"""Samples closer together than this say nothing about growth."""
FAR_AWAY = timedelta(days=3650)


def with_figures(accounts: QuerySet[StorageAccount]) -> QuerySet[StorageAccount]:
    """With `files`, `held` (their bytes), `reserved` (bytes of jobs in work) and `growth` (bytes a day, or None)."""
    copies = Replica.objects.filter(account=OuterRef("pk")).order_by().values("account")
    reserved = Reservation.objects.filter(account=OuterRef("pk")).order_by().values("account")
    samples = CapacitySample.objects.filter(account=OuterRef("pk"), at__gt=Now() - LOOKS_BACK).order_by()
    slope = RegrSlope(Cast("used_bytes", FloatField()), Cast(Extract("at", "epoch"), FloatField()))
    grown = (
        samples.values("account")
        .annotate(span=Max("at") - Min("at"), slope=slope)
        .filter(span__gte=AT_LEAST)
        .values("slope")
    )
    return accounts.annotate(
        files=Coalesce(Subquery(copies.annotate(n=Count("pk")).values("n")), 0),
        held=_bytes(copies.annotate(n=Sum("stored_file__size")).values("n")),
        reserved=_bytes(reserved.annotate(n=Sum("size")).values("n")),
        growth=Subquery(grown, output_field=FloatField()) * 86400.0,
    )


def used_bytes(account: Any) -> int:
    """By the account's own figure; before it was measured, what we know to lie there."""
    return int(account.held if account.used_bytes is None else account.used_bytes)


def free_bytes(account: Any) -> int | None:
    """What is left for new files, without what is reserved; None when nobody knows."""
    limits = [] if account.free_bytes is None else [account.free_bytes]
    if account.limit_bytes is not None:
        limits.append(account.limit_bytes - used_bytes(account))
    return max(0, min(limits) - account.reserved) if limits else None


def full_on(account: Any) -> datetime | None:
    """When it is full if it goes on like this; None when it doesn't grow, or nobody knows, or not in ten years."""
    free = free_bytes(account)
    if free is None or not account.growth or account.growth <= 0:
        return None
    days = free / account.growth
    return now() + timedelta(days=days) if days < FAR_AWAY.days else None


def _bytes(rows: Any) -> Coalesce:
    return Coalesce(Subquery(rows, output_field=BigIntegerField()), 0)
