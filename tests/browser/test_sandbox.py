"""Chromium's own sandbox is given up only where the host has none, and not silently."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.page_downloads import Pages

ROOT = Path(__file__).parents[2]
WARNING = "gives Chromium no user namespaces"
SCRIPT = "<script>const v = document.createElement('video'); v.src = '/film.mp4'; document.body.append(v)</script>"


def watched(pages: Pages, program: str, times: int = 1) -> tuple[list[dict[str, object]], str]:
    """What watching a page by another user than root comes to, in a namespace where none may be made; and the log."""
    unshare = shutil.which("unshare")
    # Mapped to a user without capabilities, Chromium can make no namespace within this one.
    enter = [unshare, "--user", f"--map-user={os.getuid() or 1000}"] if unshare else []
    if not enter or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("This machine makes no user namespaces, so none can be left out.")
    page = pages.put(f"<!doctype html><html><body>{SCRIPT}</body></html>")
    arguments = [program, page, str(pages.origin.host_port[1]), str(times)]
    done = subprocess.run(
        [*enter, sys.executable, "-m", "tests.browser.sandboxed", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def recording(tmp_path: Path, action: str) -> tuple[str, Path]:
    """A program in Chromium's place that notes its arguments, and where it does."""
    program, notes = tmp_path / "chromium", tmp_path / "started"
    program.write_text(f'#!/bin/sh\necho "$*" >> {notes}\n{action}\n')
    program.chmod(0o755)
    return str(program), notes


def test_a_host_without_a_sandbox_is_named_once(pages: Pages, tmp_path: Path, chromium: str) -> None:
    program, notes = recording(tmp_path, f'exec {chromium} "$@"')
    replies, said = watched(pages, program, times=2)
    assert [reply["url"] for reply in replies] == [pages.origin.url("/film.mp4")] * 2
    assert said.count(WARNING) == 1
    assert ["--no-sandbox" in line for line in notes.read_text().splitlines()] == [False, True, False, True]


def test_another_error_does_not_take_the_sandbox_away(pages: Pages, tmp_path: Path) -> None:
    program, notes = recording(tmp_path, "echo 'cannot open display' >&2; exit 1")
    replies, said = watched(pages, program)
    assert replies == [{"failed": "it broke off; the worker's log says more"}]
    assert WARNING not in said
    assert "--no-sandbox" not in notes.read_text()
