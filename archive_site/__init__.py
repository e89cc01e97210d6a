"""Wiring: settings, URLs, the embedded database, health. Nothing about videos lives here."""

__version__ = "0.1.0.dev0"
