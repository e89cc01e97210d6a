"""What an operator can do to storage accounts from their list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, Now
from django.http import HttpRequest
from django.template.response import TemplateResponse

from archive_site.admin_parts import NOTHING, confirmation, counted, log_changes, size
from storage_app.accounts import place_of
from storage_app.admin.forecast import free_bytes, with_figures
from storage_app.models import Replica, Reservation, StorageAccount
from storage_app.probe_account import probe_all
from storage_app.upkeep.events import record

TESTED_AT_ONCE = 20

if TYPE_CHECKING:
    AccountAdmin = admin.ModelAdmin[StorageAccount]
else:
    AccountAdmin = object


@dataclass(frozen=True)
class _Change:
    """One thing that is done to accounts: to which of them, and what is said about it."""

    event: str
    allowed: Q
    columns: dict[str, Any]
    done: str
    refused: str
    sentence: str


ENABLE = _Change(
    "account_enabled",
    Q(enabled=False),
    {"enabled": True, "draining": False, "retired_at": None},
    "enabled: new videos are copied there again",
    "skipped, being in use already",
    "Enabled in the admin.",
)
DISABLE = _Change(
    "account_disabled",
    Q(enabled=True) | Q(draining=True),
    {"enabled": False, "draining": False},
    "disabled: what lies there stays, nothing new is copied there",
    "skipped, being disabled already",
    "Disabled in the admin.",
)
DRAIN = _Change(
    "account_draining",
    Q(draining=False, retired_at=None),
    {"enabled": False, "draining": True},
    "draining: copies go to the other accounts first, then from there",
    "skipped, being drained or retired already",
    "Draining, as asked in the admin.",
)
RETIRE = _Change(
    "account_retired",
    Q(enabled=False, retired_at=None)
    & ~Exists(Replica.objects.filter(account=OuterRef("pk")))
    & ~Exists(Reservation.objects.filter(account=OuterRef("pk"))),
    {"draining": False, "retired_at": Now()},
    "retired: kept for the number alone",
    "skipped: only a disabled account without copies can be retired. Drain it first",
    "Retired in the admin.",
)
RESUME = _Change(
    "account_resumed",
    Q(paused_until__gt=Now()),
    {"paused_until": None, "pause_reason": "", "pause_count": 0},
    "resumed",
    "skipped, not being paused",
    "Resumed in the admin.",
)


class AccountActions(AccountAdmin):
    """The actions of StorageAccountAdmin."""

    @admin.action(description="Test: write, read back, compare, delete", permissions=["change"])
    def test_account(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> None:
        """Says of each whether it works, and if not, why."""
        accounts = self._permitted(request, queryset)[:TESTED_AT_ONCE]
        for result in probe_all(accounts):
            self._log(request, result.account, "account_tested", result.sentence)
            (messages.success if result.works else messages.error)(request, result.sentence)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> None:
        """In use again, also from being drained or retired."""
        self._apply(request, queryset, ENABLE)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> None:
        """Keeps what it has and gets nothing new; draining ends."""
        self._apply(request, queryset, DISABLE)

    @admin.action(description="Drain: move everything off…", permissions=["change"])
    def drain(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> TemplateResponse | None:
        """After a page that says how much moves where."""
        others = StorageAccount.objects.filter(enabled=True).exclude(pk__in=queryset.values("pk"))
        if not others.exists():
            messages.error(request, "There would be no account left in use to move the copies to. Enable one first.")
            return None
        if request.POST.get("confirmed") == "yes":
            self._apply(request, queryset, DRAIN)
            return None
        return confirmation(
            self, request, queryset, "drain", "admin/storage_app/storageaccount/drain_confirmation.html",
            title="Drain accounts?", yes="Yes, drain", leaving=_leaving(queryset), targets=_targets(queryset, others),
        )  # fmt: skip

    @admin.action(description="Retire (empty ones)", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> None:
        """Kept so that its number is never given to another."""
        self._apply(request, queryset, RETIRE)

    @admin.action(description="Resume now", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> None:
        """Ends pauses; uploads that wait for these accounts go on at once."""
        self._apply(request, queryset, RESUME)

    def _apply(self, request: HttpRequest, queryset: QuerySet[StorageAccount], change: _Change) -> None:
        done = skipped = 0
        for account in self._permitted(request, queryset):
            if StorageAccount.objects.filter(change.allowed, pk=account.pk).update(**change.columns):
                self._log(request, account, change.event, f"Account {account}: {change.sentence}")
                done += 1
            else:
                skipped += 1
        if done:
            messages.success(request, f"{counted(done, 'account')} {change.done}.")
        if skipped:
            messages.warning(request, f"{counted(skipped, 'account')} {change.refused}.")

    def _permitted(self, request: HttpRequest, queryset: QuerySet[StorageAccount]) -> list[StorageAccount]:
        """Those that this user may change, each asked about by itself."""
        rows = list(StorageAccount.objects.filter(pk__in=queryset.values("pk")))
        mine = [account for account in rows if self.has_change_permission(request, account)]
        if len(mine) < len(rows):
            messages.error(request, f"{counted(len(rows) - len(mine), 'account')} left alone: you may not change them.")
        return mine

    def _log(self, request: HttpRequest, account: StorageAccount, event: str, sentence: str) -> None:
        log_changes(request, StorageAccount.objects.filter(pk=account.pk), sentence)
        record(event, sentence, account=account.index, actor=request.user.get_username())


def _leaving(accounts: QuerySet[StorageAccount]) -> list[dict[str, Any]]:
    """Copies on each of these accounts, and how many of them have none on an account that stays in use."""
    elsewhere = Replica.objects.filter(stored_file=OuterRef("stored_file"), account__enabled=True)
    copies = (
        Replica.objects.filter(account__in=accounts.values("pk"))
        .annotate(safe=Exists(elsewhere.exclude(account__in=accounts.values("pk"))))
        .order_by()
        .values("account")
        .annotate(n=Count("pk"), only=Count("pk", filter=Q(safe=False)), held=Sum("stored_file__size"))
    )
    by_account = {row["account"]: {name: row[name] for name in ("n", "only", "held")} for row in copies}
    nothing = {"n": 0, "only": 0, "held": 0}
    found = [(account, by_account.get(account.pk, nothing)) for account in accounts]
    return [
        {"account": account, "place": place_of(account), "size": size(counts["held"]), **counts}
        for account, counts in found
    ]


def _targets(accounts: QuerySet[StorageAccount], others: QuerySet[StorageAccount]) -> list[dict[str, Any]]:
    """For each account that stays in use: how many of the files it has already, how many it could get, and its room."""
    moved = Replica.objects.filter(account__in=accounts.values("pk")).order_by().values("stored_file").distinct()
    total = moved.count()
    held = Replica.objects.filter(account=OuterRef("pk"), stored_file__in=moved).order_by().values("account")
    rows = with_figures(others).annotate(there=Coalesce(held.annotate(n=Count("pk")).values("n"), 0))
    return [
        {
            "account": row,
            "there": row.there,
            "missing": total - row.there,
            "free": size(free_bytes(row)).replace(NOTHING, "not known"),
        }
        for row in rows.order_by("index")
    ]
