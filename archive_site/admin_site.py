"""The admin as operators see it: our titles and index page on Django's own admin."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig


class ReelkeepAdminConfig(AdminConfig):
    """Puts our site in the place of Django's default one."""

    default_site = "archive_site.admin_site.ReelkeepAdminSite"


class ReelkeepAdminSite(AdminSite):
    """Django's admin site under our name."""

    site_header = "Reelkeep"
    site_title = "Reelkeep"
    index_title = "Archive"
    site_url = None
    enable_nav_sidebar = True
