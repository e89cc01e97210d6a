"""Fixtures for every tier."""

from __future__ import annotations
