"""Storage accounts in the admin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from archive_site.admin_parts import NOTHING, PlainAdmin, age, counted, size
from storage_app.accounts import next_index, place_of
from storage_app.admin import account_page
from storage_app.admin.account_actions import AccountActions
from storage_app.admin.account_form import FIELDS, SECRET, AccountForm
from storage_app.admin.forecast import free_bytes, full_on, used_bytes, with_figures
from storage_app.admin.plot import capacity_bar
from storage_app.models import (
    AccountKind,
    CapacitySample,
    Orphan,
    PlacementPolicy,
    Replica,
    StorageAccount,
    StorageTask,
    VideoStore,
)
from storage_app.upkeep.events import record

_TITLES = {AccountKind.LOCAL: "Folder", AccountKind.S3: "Bucket", AccountKind.HUGGINGFACE: "Hugging Face"}
_PLACE = {"username", "root", "bucket", "endpoint"}
_FIGURES = ("state", "pause", "capacity", "files", "measured", "growth", "full")
_SHOWN = (*_FIGURES, "secret_state", "plot", "events", "failures", "created_at")


@admin.register(StorageAccount)
class StorageAccountAdmin(AccountActions, PlainAdmin[StorageAccount]):
    """Where copies go."""

    form = AccountForm
    list_display = ("index", "account", "state_and_pause", "capacity", "files", "measured", "growth", "full")
    list_display_links = ("index", "account")
    ordering = ("index",)
    actions = ["test_account", "enable", "disable", "drain", "retire", "resume"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[StorageAccount]:
        """With what lies there."""
        return with_figures(super().get_queryset(request))

    @method_decorator(sensitive_post_parameters("new_secret"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form; should it fail, the secret is in no report."""
        return super().changeform_view(request, *args, **kwargs)

    def get_form(
        self, request: HttpRequest, obj: StorageAccount | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Knows whether the user may send the host's own secrets anywhere."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.may_send_variables = request.user.is_superuser  # Django makes a class for each request
        return form

    def get_fieldsets(self, request: HttpRequest, obj: StorageAccount | None = None) -> Any:
        """Of a new account every kind's fields: admin.css shows those of the kind that is chosen."""
        if obj is None:
            return [
                (None, {"fields": ("index", "kind", "username", "enabled")}),
                ("Folder", {"fields": FIELDS[AccountKind.LOCAL], "classes": ("rk-kind", "rk-kind-local")}),
                ("Service", {"fields": ("endpoint",), "classes": ("rk-kind", "rk-kind-s3", "rk-kind-huggingface")}),
                ("Bucket", {"fields": _only_s3(), "classes": ("rk-kind", "rk-kind-s3")}),
                ("Secret", {"fields": SECRET, "classes": ("rk-kind", "rk-kind-s3", "rk-kind-huggingface")}),
                ("Bounds", {"fields": ("limit_bytes", "scrub_bytes")}),
            ]
        place: tuple[str, ...] = FIELDS[AccountKind(obj.kind)]
        if not self.has_change_permission(request, obj):
            place = tuple(name for name in place if name != "new_secret")
        elif "new_secret" in place:
            place = (*(name for name in place if name not in SECRET), "secret_state", *SECRET)
        return [
            (None, {"fields": (*_FIGURES, "plot")}),
            ("Account", {"fields": ("index", "kind", "username", "enabled")}),
            (_TITLES[AccountKind(obj.kind)], {"fields": place}),
            ("Bounds", {"fields": ("limit_bytes", "scrub_bytes")}),
            ("What happened", {"fields": ("events", "failures", "created_at")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: StorageAccount | None = None) -> tuple[str, ...]:
        """The index is what stored videos name; changing it would make another account."""
        return () if obj is None else ("index", "kind", *_SHOWN)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The next free index; the kind may be in the query."""
        return {"index": next_index(), "kind": AccountKind.LOCAL, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: StorageAccount, form: Any, change: bool) -> None:
        """Writes only what the form holds, for a worker may be pausing or measuring the account."""
        if obj.enabled:
            obj.draining, obj.retired_at = False, None
        if not change:
            super().save_model(request, obj, form, change)
            self._tell(request, obj, "account_added", f"Account {obj} was added: {place_of(obj)}.")
            return
        columns = {field.name for field in StorageAccount._meta.fields} & set(form.fields)
        if form.changed_data:
            obj.save(update_fields={*columns, "secret", "draining", "retired_at"} - {"index", "kind"})
            labels = ", ".join(str(form.fields[name].label or name).lower() for name in form.changed_data)
            self._tell(request, obj, "account_changed", f"Account {obj} was changed: {labels}.")
        held = Replica.objects.filter(account=obj).count() if _PLACE & set(form.changed_data) else 0
        if held:
            messages.warning(
                request,
                f"{counted(held, 'file')} of this account {'is' if held == 1 else 'are'} looked for at {place_of(obj)} "
                "from now on. If they don't lie there, change it back; if they do, test the account.",
            )

    def _tell(self, request: HttpRequest, account: StorageAccount, event: str, sentence: str) -> None:
        record(event, sentence, account=account.index, actor=request.user.get_username())

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], list[str]]:
        """Says what keeps an account from being deleted; Django would list each copy and each measurement."""
        accounts = list(objs)
        forbidden = {self.opts.verbose_name} if not self.has_delete_permission(request) else set()
        counts = {str(self.opts.verbose_name_plural): len(accounts)}
        for related in (CapacitySample, StorageTask, Orphan):
            counts[str(related._meta.verbose_name_plural)] = related._default_manager.filter(
                account__in=accounts
            ).count()
        return [str(account) for account in accounts], counts, {str(name) for name in forbidden}, _keepers(accounts)

    @admin.display(description="account", ordering="username")
    def account(self, account: StorageAccount) -> SafeString:
        """Its name and where it is."""
        return format_html('{} <small class="rk-figures">{}</small>', account.username, place_of(account))

    @admin.display(description="state")
    def state(self, account: StorageAccount) -> SafeString:
        """In use, disabled, draining, retired or paused."""
        return account_page.state_of(account)

    @admin.display(description="state")
    def state_and_pause(self, account: StorageAccount) -> SafeString:
        """With the reason of a pause below it."""
        pause = account_page.pause_of(account)
        below = "" if pause == NOTHING else format_html('<small class="rk-figures">{}</small>', pause)
        return format_html("{}{}", account_page.state_of(account), below)

    @admin.display(description="paused")
    def pause(self, account: StorageAccount) -> SafeString | str:
        """How much longer, and why."""
        return account_page.pause_of(account)

    @admin.display(description="capacity")
    def capacity(self, account: Any) -> SafeString:
        """Used, reserved, free."""
        return capacity_bar(used_bytes(account), account.reserved, free_bytes(account))

    @admin.display(description="files")
    def files(self, account: Any) -> int:
        """Copies on this account."""
        return int(account.files)

    @admin.display(description="measured", ordering="measured_at")
    def measured(self, account: StorageAccount) -> SafeString | str:
        """How long ago."""
        return age(account.measured_at, " ago")

    @admin.display(description="growth")
    def growth(self, account: Any) -> str:
        """A day, over the last thirty."""
        if account.growth is None:
            return NOTHING
        sign = "-" if account.growth < 0 else ""
        return f"{sign}{size(abs(round(account.growth)))} a day"

    @admin.display(description="full on")
    def full(self, account: Any) -> str:
        """If it goes on like this."""
        day = full_on(account)
        return f"{day:%Y-%m-%d}" if day else NOTHING

    @admin.display(description="secret")
    def secret_state(self, account: StorageAccount) -> str:
        """Set or not."""
        return account_page.secret_state(account)

    @admin.display(description="capacity over time")
    def plot(self, account: StorageAccount) -> SafeString | str:
        """Drawn."""
        return account_page.plot_of(account)

    @admin.display(description="recent events")
    def events(self, account: StorageAccount) -> SafeString | str:
        """The newest."""
        return account_page.events_of(account)

    @admin.display(description="tasks that failed so far")
    def failures(self, account: StorageAccount) -> SafeString | str:
        """And why."""
        return account_page.failures_of(account)


def _only_s3() -> tuple[str, ...]:
    return tuple(name for name in FIELDS[AccountKind.S3] if name not in {"endpoint", *SECRET})


def _keepers(accounts: Iterable[StorageAccount]) -> list[str]:
    """What would be lost with these accounts."""
    keys = [account.pk for account in accounts]
    rows = Replica.objects.filter(account__in=keys).order_by("account_id").values_list("account__username")
    kept = [
        f"{n} copies on {name}. Disable the account instead: it then gets no new ones. Drain it to move them."
        for name, n in rows.annotate(n=Count("id"))
    ]
    videos = VideoStore.objects.filter(hf_account__in=keys, stored_file=None).count()
    if videos:
        kept.append(f"{counted(videos, 'video')} of an older client, named by its number.")
    return kept + [
        f"The placement policy for {policy}: it allows no other account, and without any it would allow all. "
        "Give it another account, or delete it, first."
        for policy in _only_policies(keys)
    ]


def _only_policies(keys: Sequence[int]) -> QuerySet[PlacementPolicy]:
    """Those that name these accounts and no others."""
    chosen = PlacementPolicy.accounts.through.objects
    others = chosen.exclude(storageaccount__in=keys).values("placementpolicy")
    named = chosen.filter(storageaccount__in=keys).values("placementpolicy")
    return PlacementPolicy.objects.filter(pk__in=named).exclude(pk__in=others).order_by("mal_id")
