"""Settings are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from archive_site import env


def test_a_value_that_is_not_understood_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "seven")
    with pytest.raises(ImproperlyConfigured, match="PORT='seven'"):
        env.integer("PORT", 7860)


def test_a_number_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "70000")
    with pytest.raises(ImproperlyConfigured, match="at most 65535"):
        env.integer("PORT", 7860, minimum=1, maximum=65535)


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("No", False), ("", True), (" on ", True)])
def test_yes_and_no_have_several_spellings(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("DEBUG", value)
    assert env.boolean("DEBUG", default=True) is expected


def test_maybe_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        env.boolean("DEBUG", default=True)


def test_allowed_hosts_are_exact_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCH_ALLOW_HOSTS", "127.0.0.1:9000, Media.Local:80,[::1]:8080")
    expected = {("127.0.0.1", 9000), ("media.local", 80), ("::1", 8080)}
    assert env.host_ports("FETCH_ALLOW_HOSTS") == expected


@pytest.mark.parametrize("value", ["127.0.0.1", "*:80", "http://a:80", "a:0", "a:99999", "a/b:80"])
def test_an_allowed_host_without_its_port_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FETCH_ALLOW_HOSTS", value)
    with pytest.raises(ImproperlyConfigured, match="FETCH_ALLOW_HOSTS"):
        env.host_ports("FETCH_ALLOW_HOSTS")


def test_a_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hush\n")
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "s"))
    assert env.secret("SECRET_KEY", tmp_path) == "hush"


def test_a_secret_given_twice_is_a_contradiction(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "s"))
    with pytest.raises(ImproperlyConfigured, match="keep one"):
        env.secret("SECRET_KEY", tmp_path)


def test_a_made_up_secret_is_found_in_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SECRET_KEY")
    env.secret_path("SECRET_KEY", tmp_path).parent.mkdir()
    env.secret_path("SECRET_KEY", tmp_path).write_text("made up")
    assert env.secret("SECRET_KEY", tmp_path) == "made up"
