"""What operators lay down: where copies go, and how long videos are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, CappedPaginator, PlainAdmin, age, pill, size
from storage_app.key_rules import WORK_MAX
from storage_app.models import PlacementPolicy, RetentionRule, StorageAccount, VideoStore
from storage_app.retention import matching
from storage_app.upkeep.events import record

SHOWN = 100

if TYPE_CHECKING:
    PolicyForm = forms.ModelForm[PlacementPolicy]
    RuleForm = forms.ModelForm[RetentionRule]
else:
    PolicyForm = RuleForm = forms.ModelForm


def _work_field(empty: str) -> forms.IntegerField:
    return forms.IntegerField(
        label="Work", required=False, min_value=0, max_value=WORK_MAX, help_text=f"Its number. Empty: {empty}."
    )


class PlacementPolicyForm(PolicyForm):
    """Refuses what could never be kept."""

    mal_id = _work_field("for all works that have no policy of their own")
    copies = forms.IntegerField(
        required=False, min_value=1, max_value=1000, help_text="Copies wanted. Empty: one on every account."
    )
    minimum = forms.IntegerField(
        initial=1, min_value=1, max_value=1000, help_text="Confirmed copies that a video needs to be ready."
    )

    class Meta:
        model = PlacementPolicy
        fields = ("mal_id", "copies", "minimum", "spread", "accounts")
        widgets = {"accounts": forms.CheckboxSelectMultiple}

    def clean(self) -> dict[str, Any] | None:
        """One for each work, one for all; no more copies than accounts."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "mal_id" in cleaned:
            same = PlacementPolicy.objects.filter(mal_id=cleaned["mal_id"])
            if cleaned["mal_id"] is None:
                same = PlacementPolicy.objects.filter(mal_id__isnull=True)
            if same.exclude(pk=self.instance.pk).exists():
                which = "all works" if cleaned["mal_id"] is None else "this work"
                self.add_error("mal_id", f"There is a policy for {which} already. Change that one.")
        copies, minimum = cleaned.get("copies"), cleaned.get("minimum")
        if copies and minimum and minimum > copies:
            self.add_error("minimum", f"Only {copies} are wanted: a video would never be ready.")
        chosen = len(cleaned.get("accounts") or ())
        if chosen and max(copies or 0, minimum or 0) > chosen:
            self.add_error("accounts", f"These are {chosen}, too few for {max(copies or 0, minimum or 0)} copies.")
        return cleaned


@admin.register(PlacementPolicy)
class PlacementPolicyAdmin(PlainAdmin[PlacementPolicy]):
    """The one for all works first."""

    form = PlacementPolicyForm
    list_display = ("holds_for", "wanted", "minimum", "spread", "places")
    list_display_links = ("holds_for",)
    search_fields = ("mal_id__exact",)
    search_help_text = "The number of a work."
    ordering = ("mal_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlacementPolicy]:
        """With the accounts."""
        return super().get_queryset(request).prefetch_related("accounts")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Write it down with the accounts that were chosen, and warn of what can't be kept now."""
        super().save_related(request, form, formsets, change)
        policy: PlacementPolicy = form.instance
        record(
            "policy_changed", f"Placement for {policy}: {_terms(policy)}.", actor=request.user.get_username()
        )  # fmt: skip
        usable = StorageAccount.objects.filter(enabled=True)
        chosen = policy.accounts.values("pk")
        number = (usable.filter(pk__in=chosen) if chosen else usable).count()
        needed = max(policy.copies or 1, policy.minimum)
        if number < needed:
            messages.warning(request, f"{number} of its accounts are in use now, and {needed} copies are asked for.")

    @admin.display(description="holds for", ordering="mal_id")
    def holds_for(self, policy: PlacementPolicy) -> str:
        """A work, or all."""
        return str(policy).capitalize()

    @admin.display(description="copies", ordering="copies")
    def wanted(self, policy: PlacementPolicy) -> str:
        """How many."""
        return str(policy.copies or "on every account")

    @admin.display(description="accounts")
    def places(self, policy: PlacementPolicy) -> str:
        """Which."""
        return ", ".join(str(account) for account in policy.accounts.all()) or "all"


class RetentionRuleForm(RuleForm):
    """How long, and of what."""

    mal_id = _work_field("all works")
    days = forms.IntegerField(
        min_value=1, max_value=36500, help_text="Videos that were archived longer ago are deleted, every copy of them."
    )

    class Meta:
        model = RetentionRule
        fields = ("name", "mal_id", "provider", "days", "enabled")
        widgets = {name: forms.TextInput(attrs={"class": "vTextField"}) for name in ("name", "provider")}
        help_texts = {
            "provider": "As videos name it. Empty: all providers.",
            "enabled": "While it is on, it deletes once a day. Look first at what it would delete: that can be asked "
            "as soon as the rule is saved.",
        }


@admin.register(RetentionRule)
class RetentionRuleAdmin(PlainAdmin[RetentionRule]):
    """Nothing is deleted by a rule that isn't enabled."""

    form = RetentionRuleForm
    list_display = ("name", "work", "of_provider", "days", "state", "dry_run")
    ordering = ("name",)
    change_form_template = "admin/storage_app/retentionrule/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """The dry run."""
        view = self.admin_site.admin_view(self.dry_run_view)
        return [path("<int:pk>/dry-run/", view, name="storage_app_retentionrule_dry_run"), *super().get_urls()]

    def dry_run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the rule would delete today; deletes nothing."""
        rule = get_object_or_404(RetentionRule, pk=pk)
        if not self.has_view_permission(request, rule):
            raise PermissionDenied
        found = matching(rule).select_related("stored_file").order_by("created_at")
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "original": rule,
            "title": f"What “{rule}” would delete today", "count": CappedPaginator(found, SHOWN).count,
            "rows": [_shown(video) for video in found[:SHOWN]], "shown": SHOWN,
        }  # fmt: skip
        return TemplateResponse(request, "admin/storage_app/retentionrule/dry_run.html", context)

    @admin.display(description="work", ordering="mal_id")
    def work(self, rule: RetentionRule) -> str:
        """Without a thousands separator: it is a name."""
        return "all" if rule.mal_id is None else str(rule.mal_id)

    @admin.display(description="provider", ordering="provider")
    def of_provider(self, rule: RetentionRule) -> str:
        """One, or all."""
        return rule.provider or "all"

    @admin.display(description="state", ordering="enabled")
    def state(self, rule: RetentionRule) -> SafeString:
        """Does it delete?"""
        return pill("failed", "Deletes") if rule.enabled else pill("cancelled", "Off")

    @admin.display(description="dry run")
    def dry_run(self, rule: RetentionRule) -> SafeString:
        """What it would delete."""
        url = reverse("admin:storage_app_retentionrule_dry_run", args=[rule.pk])
        return format_html('<a href="{}">What would it delete?</a>', url)


def _shown(video: VideoStore) -> dict[str, Any]:
    return {
        "video": video,
        "url": reverse("admin:storage_app_videostore_change", args=[video.pk]),
        "title": video.title or NOTHING,
        "archived": age(video.created_at, " ago"),
        "size": size(video.stored_file.size) if video.stored_file else NOTHING,
    }


def _terms(policy: PlacementPolicy) -> str:
    copies = f"{policy.copies} copies" if policy.copies else "a copy on every account"
    accounts = ", ".join(str(account.pk) for account in policy.accounts.order_by("pk"))
    among = f" among accounts {accounts}" if accounts else ""
    spread = ", over different kinds first" if policy.spread else ""
    return f"{copies}{among}, at least {policy.minimum} to be ready{spread}"
