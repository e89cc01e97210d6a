"""The form of a storage account: what each kind needs, and a secret that goes in and never comes out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from archive_site.account_env import ACCOUNT_NAME, INDEX_MAX, SECRET_NAME, checked_url
from archive_site.admin_parts import SizeField
from storage_app.backends.base import StorageAuthError
from storage_app.credentials import seal
from storage_app.models import AccountKind, Addressing, StorageAccount

if TYPE_CHECKING:
    StorageAccountForm = forms.ModelForm[StorageAccount]
else:
    StorageAccountForm = forms.ModelForm

COMMON = ("username", "enabled", "limit_bytes", "scrub_bytes")
SECRET = ("new_secret", "secret_env")
FIELDS: dict[str, tuple[str, ...]] = {
    AccountKind.LOCAL: ("root",),
    AccountKind.S3: (
        "bucket", "endpoint", "region", "addressing", "encryption", "public_url", "access_key", *SECRET,
    ),
    AccountKind.HUGGINGFACE: ("endpoint", *SECRET),
}  # fmt: skip
"""What is asked for, by kind; beside COMMON."""

REQUIRED: dict[str, dict[str, str]] = {
    AccountKind.LOCAL: {"root": "Name the folder that holds the copies."},
    AccountKind.S3: {"bucket": "Name the bucket.", "access_key": "An S3 account needs an access key."},
    AccountKind.HUGGINGFACE: {},
}

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_WIDE = {"class": "vLargeTextField"}
_TEXT = {"class": "vTextField"}


class AccountForm(StorageAccountForm):
    """Checks what would otherwise be found out by the first upload."""

    may_send_variables = False
    """May the user have the value of an environment variable sent to any endpoint? Set for each request."""

    index = forms.IntegerField(
        label="Number", min_value=1, max_value=INDEX_MAX,
        help_text="What archived videos name. It never changes, and no other account gets it later.",
    )  # fmt: skip
    root = forms.CharField(
        label="Folder", required=False, widget=forms.TextInput(attrs=_WIDE),
        help_text="Absolute path of the folder that holds the copies, the same on every host. "
        "Changing it moves no file: move them yourself first.",
    )  # fmt: skip
    bucket = forms.CharField(
        required=False, widget=forms.TextInput(attrs=_TEXT),
        help_text="It must be there: “manage.py ensure_bucket” makes it. Changing it moves no file.",
    )  # fmt: skip
    endpoint = forms.CharField(
        required=False, widget=forms.TextInput(attrs=_WIDE),
        help_text="http or https URL of the service; empty for the kind’s own (Amazon, huggingface.co). Only a "
        "superuser may change it while a variable holds the secret.",
    )  # fmt: skip
    region = forms.CharField(
        required=False, max_length=100, widget=forms.TextInput(attrs=_TEXT), help_text="As the service names it."
    )
    addressing = forms.ChoiceField(required=False, choices=Addressing.choices)
    encryption = forms.CharField(
        label="Server-side encryption", required=False, max_length=100, widget=forms.TextInput(attrs=_TEXT),
        help_text="AES256, aws:kms or aws:kms:KEY with the key’s id (Ceph needs it). Empty: as the bucket does it.",
    )  # fmt: skip
    public_url = forms.CharField(
        label="Public URL", required=False, widget=forms.TextInput(attrs=_WIDE),
        help_text="Of a CDN before a bucket that everybody may read; usually empty.",
    )  # fmt: skip
    access_key = forms.CharField(
        label="Access key", required=False, max_length=255, widget=forms.TextInput(attrs=_TEXT)
    )
    new_secret = forms.CharField(
        label="Token or secret key", required=False, max_length=4000,
        widget=forms.PasswordInput(render_value=False, attrs={**_TEXT, "autocomplete": "new-password"}),
        help_text="Sealed before it is kept, and never shown again.",
    )  # fmt: skip
    secret_env = forms.CharField(
        label="Or its variable", required=False, widget=forms.TextInput(attrs=_TEXT),
        help_text="An environment variable that holds it on every host, in the place of one kept here: "
        "HF_TOKEN_…, SPACES_…, AWS_… or STORAGE_…. Only a superuser may have it sent to an endpoint of your own.",
    )  # fmt: skip
    limit_bytes = SizeField(
        label="Limit", required=False,
        help_text="What may be used here, whatever the service allows. Hugging Face doesn’t tell how much room is "
        "left: write your plan’s figure.",
    )  # fmt: skip
    scrub_bytes = SizeField(
        label="Read back in a day", required=False,
        help_text="To find damage; oldest check first. Empty: SCRUB_BYTES_PER_DAY. 0 B: never.",
    )  # fmt: skip

    class Meta:
        model = StorageAccount
        fields = (
            "index", "kind", "username", "enabled", "root", "bucket", "endpoint", "region", "addressing", "encryption",
            "public_url", "access_key", "secret_env", "limit_bytes", "scrub_bytes",
        )  # fmt: skip
        labels = {"username": "Name", "enabled": "In use"}
        help_texts = {
            # The model's own text holds <…>, which a browser takes for tags.
            "username": "First part of the repositories’ names, for example NAME/weaboo-55825. "
            "Of a Hugging Face account: its user or organisation.",
            "enabled": "New videos are copied here. Without it the account keeps what it has.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "new_secret" in self.fields:
            self.fields["new_secret"].help_text += " Empty: the one that is set stays."

    def clean_username(self) -> str:
        """It becomes part of repository names."""
        name: str = self.cleaned_data["username"]
        if not ACCOUNT_NAME.fullmatch(name):
            raise ValidationError("Use letters, digits, dots, hyphens and underscores, a letter or digit at both ends.")
        return name

    def clean_new_secret(self) -> str:
        """Printable, in one line: what was pasted with more around it would only be refused later."""
        secret: str = self.cleaned_data["new_secret"]
        if secret and not re.fullmatch(r"[\x21-\x7e]+", secret):
            raise ValidationError("A token or key is one word of letters, digits and signs. Paste it alone.")
        return secret

    def clean_secret_env(self) -> str:
        """Not just any variable: its value is sent to the endpoint."""
        name: str = self.cleaned_data["secret_env"]
        if name and not SECRET_NAME.fullmatch(name):
            raise ValidationError(
                "Name a variable that begins with HF_TOKEN_, SPACES_, AWS_ or STORAGE_, in capitals, digits and _."
            )
        return name

    def clean(self) -> dict[str, Any] | None:
        """What the kind needs; what it knows nothing of is dropped."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind = self.kind
        if kind is None:
            return cleaned
        mine = (*COMMON, *FIELDS[kind])
        for name in {name for fields in FIELDS.values() for name in fields} - {*mine, "addressing"}:
            cleaned[name] = ""
        cleaned["addressing"] = cleaned.get("addressing") or Addressing.AUTO
        for name, sentence in REQUIRED[kind].items():
            if name not in self.errors and not cleaned.get(name):
                self.add_error(name, sentence)
        for name, check in _CHECKS.items():
            self._check(name, check)
        if "new_secret" in mine:
            self._check_secret(cleaned)
            self._check_variable(cleaned)
        self._check_place(kind, cleaned)
        return cleaned

    @property
    def kind(self) -> str | None:
        """What was chosen, or what the account is; None while it is unknown."""
        if "kind" in self.fields:
            return self.cleaned_data.get("kind")
        return self.instance.kind

    def _check(self, name: str, check: Callable[[str], str]) -> None:
        value = self.cleaned_data.get(name)
        if not value or name in self.errors:
            return
        try:
            self.cleaned_data[name] = check(value)
        except ValueError as refusal:
            self.add_error(name, str(refusal))

    def _check_secret(self, cleaned: dict[str, Any]) -> None:
        new, variable = cleaned.get("new_secret"), cleaned.get("secret_env")
        if new and variable:
            self.add_error("secret_env", "Give the secret itself or its variable, not both.")
        kept = bool(self.instance.pk) and bool(self.instance.secret)
        if not (new or variable or kept or {"new_secret", "secret_env"} & set(self.errors)):
            self.add_error("new_secret", "Enter it, or name the environment variable that holds it.")
        moved = cleaned.get("endpoint") != self.initial.get("endpoint")
        if kept and moved and not (new or variable or "endpoint" in self.errors):
            self.add_error("new_secret", "Enter it anew: it isn’t sent to another endpoint unasked.")

    def _check_variable(self, cleaned: dict[str, Any]) -> None:
        """The host's own secrets are not for everybody who may edit accounts: they would be sent to the endpoint."""
        variable, endpoint = cleaned.get("secret_env") or "", cleaned.get("endpoint") or ""
        if self.may_send_variables or not variable or {"secret_env", "endpoint"} & set(self.errors):
            return
        before = None if self.instance._state.adding else self.instance
        if endpoint != (before.endpoint.rstrip("/") if before else ""):
            self.add_error("endpoint", "Only a superuser may send a variable’s secret to another endpoint.")
        elif endpoint and before and variable != before.secret_env:
            self.add_error(
                "secret_env", "Only a superuser may have a variable’s secret sent to an endpoint of its own."
            )

    def _check_place(self, kind: str, cleaned: dict[str, Any]) -> None:
        """No two accounts in one place: they would be one copy."""
        place = {AccountKind.LOCAL: ("root",), AccountKind.S3: ("endpoint", "bucket")}.get(AccountKind(kind))
        if place is None or set(place) & set(self.errors) or not cleaned.get(place[-1]):
            return
        others = StorageAccount.objects.filter(kind=kind, **{name: cleaned[name] for name in place})
        other = others.exclude(pk=self.instance.pk).first()
        if other is not None:
            self.add_error(place[-1], f"Account {other} is there already: two copies in one place are one.")

    def _post_clean(self) -> None:
        """Put the secret into the instance, sealed."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors or self.kind is None or "new_secret" not in FIELDS[self.kind]:
            return
        if self.cleaned_data.get("new_secret"):
            try:
                self.instance.secret = seal(self.cleaned_data["new_secret"])
            except StorageAuthError as error:
                self.add_error("new_secret", str(error))
        elif self.cleaned_data.get("secret_env"):
            self.instance.secret = ""


def _folder(text: str) -> str:
    """Absolute, and spelled in one way only."""
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("This must be an absolute path without “..”, for example /srv/reelkeep/1.")
    if len(path.parts) == 1:
        raise ValueError("The whole file system is not a folder for copies; name one below it.")
    return str(path)


def _bucket(text: str) -> str:
    if not _BUCKET.fullmatch(text) or ".." in text:
        raise ValueError("A bucket’s name has 3 to 255 letters, digits, dots, hyphens and underscores.")
    return text


def _access_key(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("An access key is one word. Paste it alone.")
    return text


def _encryption(text: str) -> str:
    if not re.fullmatch(r"AES256|aws:kms(:[\x21-\x7e]+)?", text):
        raise ValueError("This must be AES256, aws:kms, or aws:kms: with the id of a key behind it.")
    return text


_CHECKS: dict[str, Callable[[str], str]] = {
    "root": _folder,
    "bucket": _bucket,
    "access_key": _access_key,
    "encryption": _encryption,
    "endpoint": checked_url,
    "public_url": checked_url,
}
