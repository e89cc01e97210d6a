"""`manage.py prepare`: what has to be there before the first video."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from storage_app.accounts import ensure_accounts, place_of


class Command(BaseCommand):
    """Harmless to run again: what is there already is left alone."""

    help = "Migrate the database, make the first admin user and the storage accounts of the environment."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Migrate, then make what is missing."""
        call_command("migrate", interactive=False, verbosity=0)
        accounts = ensure_accounts()
        for account in accounts.made:
            self.stdout.write(f"reelkeep: made storage account {account}: {place_of(account)}")
        for remark in accounts.remarks:
            self.stderr.write(f"reelkeep: {remark}")
        self._ensure_admin()

    def _ensure_admin(self) -> None:
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            return
        password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
        get_user_model().objects.create_superuser(settings.ADMIN_USERNAME, password=password)
        if settings.ADMIN_PASSWORD:
            self.stdout.write(f"reelkeep: made the admin user {settings.ADMIN_USERNAME} with ADMIN_PASSWORD")
        else:
            self.stdout.write(
                f"reelkeep: made the admin user {settings.ADMIN_USERNAME} with the password {password}\n"
                "reelkeep: it is shown only now; `manage.py changepassword` sets another one"
            )
