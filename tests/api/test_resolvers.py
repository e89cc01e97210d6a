"""Resolvers of other packages: found by their entry points, and harmless whatever they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from queue_app.models import ResolvedSource
from queue_app.resolvers import asking, plugin
from tests.servers.origin import Origin
from tests.sources import PLAYLIST, error_of, register, ways

Install = Callable[[str], str]
PAGE = "https://93.184.216.34/watch/1"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: Origin) -> Iterator[Install]:
    """Installs a package `example_resolver` with this body of `resolve(url, context)`; its resolver's name."""
    folder = tmp_path / "site"
    info = folder / "example_resolver-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-resolver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[reelkeep.resolvers]\nexample = example_resolver:resolve\n")

    def write(body: str) -> str:
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        text = f"from queue_app.resolvers import NoVideo, Resolved\n\ndef resolve(url, context):\n{lines}\n"
        (folder / "example_resolver.py").write_text(text)
        return "example"

    monkeypatch.syspath_prepend(str(folder))
    plugin.installed.cache_clear()
    yield write
    plugin.installed.cache_clear()


def asked_alone() -> str | None:
    """What the plug-in, asked alone, resolves a page to."""
    register({"url": PAGE, "resolver": "example"})
    url: str | None = ways()[0]["url_resolved"]
    return url


def test_a_plug_in_is_asked_between_the_bundled_ones(install: Install) -> None:
    install("return None")
    assert asking.names() == ["direct", "example", "yt-dlp"]


def test_its_answer_is_given_out(install: Install) -> None:
    install("return Resolved('https://93.184.216.35/' + str(context.resolution) + '.m3u8')")
    assert asked_alone() == "https://93.184.216.35/720p.m3u8"
    assert ResolvedSource.objects.get().resolver == "example"


def test_the_url_alone_will_do_and_prints_do_no_harm(install: Install) -> None:
    install("import os\nprint('{}')\nos.write(1, b'{')\nreturn 'https://93.184.216.35/a.mp4'")
    assert asked_alone() == "https://93.184.216.35/a.mp4"


def test_it_may_fetch_what_anybody_may(install: Install, reachable: Origin) -> None:
    told = reachable.put("/api.json", b'{"file": "https://93.184.216.35/a.mp4"}')
    install(f"import json\nreturn json.loads(context.get({told!r}).text)['file']")
    assert asked_alone() == "https://93.184.216.35/a.mp4"


def test_it_may_not_fetch_what_nobody_may(install: Install) -> None:
    install("context.get('http://127.0.0.1:9/')")
    assert asked_alone() is None
    assert "AddressRefused" in error_of(PAGE)


def test_one_that_doesnt_know_the_url_leaves_it_to_the_next(install: Install, reachable: Origin) -> None:
    install("return None")
    page = reachable.put("/watch.html", b'<video src="/film.m3u8"></video>')
    reachable.put("/film.m3u8", PLAYLIST)
    register({"url": page})
    assert ways()[0]["url_resolved"] == reachable.url("/film.m3u8")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise ValueError('broken')", "ValueError: broken"),
        ("raise NoVideo('Ask later.')", "Ask later."),
        ("raise SystemExit(3)", "it broke off"),
        ("import os\nos.kill(os.getpid(), 9)", "it broke off"),
        ("return 'http://10.0.0.1/a.mp4'", "not public"),
        ("return 'http://localhost/a.mp4'", "not public"),
        ("return 'file:///etc/passwd'", "Only http and https"),
        ("return 'https://user:secret@93.184.216.35/'", "user name or password"),
        ("return 'x' * 10_000_000", "10000000 characters"),
        ("return 'https://93.184.216.35/' + 'x' * 5000", "4096"),
        ("return 42", "a int"),
        ("return Resolved(None)", "no URL"),
        ("return Resolved('')", "characters"),
        ("import example_that_isnt_there", "ModuleNotFoundError"),
    ],
)
def test_rubbish_is_null_and_kept_for_operators(install: Install, body: str, why: str) -> None:
    install(body)
    assert asked_alone() is None
    assert why in error_of(PAGE)


def test_one_that_hangs_is_killed_and_the_response_is_in_time(install: Install, settings: Any) -> None:
    settings.RESOLVE_SECONDS = 1.0
    install("import time\ntime.sleep(3600)")
    before = time.monotonic()
    assert asked_alone() is None
    assert time.monotonic() - before < 20
    _until(lambda: "took longer" in error_of(PAGE))


def test_one_that_leaves_a_program_behind_holds_up_nobody(install: Install, tmp_path: Path) -> None:
    number = tmp_path / "pid"
    install(
        "import pathlib, subprocess\nleft = subprocess.Popen(['/bin/sleep', '300'])\n"
        f"pathlib.Path({str(number)!r}).write_text(str(left.pid))\nreturn 'https://93.184.216.35/a.mp4'"
    )
    assert asked_alone() == "https://93.184.216.35/a.mp4"
    _until(lambda: not psutil.pid_exists(int(number.read_text())))


def test_what_comes_too_late_is_there_for_the_next_viewer(install: Install, settings: Any, tmp_path: Path) -> None:
    settings.RESOLVE_SECONDS = 10.0
    go = tmp_path / "go"
    install(
        f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
        "return 'https://93.184.216.35/a.mp4'"
    )
    settings.RESOLVE_SECONDS = 1.0
    register({"url": PAGE, "resolver": "example"})
    settings.RESOLVE_SECONDS = 8.0  # of which a run may take three times as many
    from queue_app.sources.resolving import start
    from queue_app.sources.wanted import Wanted

    run = start(Wanted(PAGE, "720p", "example"))
    _until(lambda: ResolvedSource.objects.filter(lease_token__isnull=False).exists())
    settings.RESOLVE_SECONDS = 0.5
    assert ways()[0]["url_resolved"] is None
    go.touch()
    assert run.result(30) == "https://93.184.216.35/a.mp4"
    assert ways()[0]["url_resolved"] == "https://93.184.216.35/a.mp4"


def test_an_answer_that_says_for_how_long_is_asked_for_again_then(install: Install) -> None:
    install("return Resolved('https://93.184.216.35/a.mp4', seconds=120)")
    asked_alone()
    found = ResolvedSource.objects.get()
    assert found.expires_at
    assert found.resolved_at
    assert (found.expires_at - found.resolved_at).total_seconds() == 120


def test_none_of_our_secrets_reaches_it(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESOLVER_EXAMPLE", "its-own")
    install(
        "import os\nours = {'SECRET_KEY', 'DATABASE_URL', 'HF_FILE_SALT', 'API_TOKEN'} & set(os.environ)\n"
        "return 'https://93.184.216.35/' + os.environ['RESOLVER_EXAMPLE'] + '/' + '-'.join(sorted(ours))"
    )
    assert asked_alone() == "https://93.184.216.35/its-own/"


def test_the_operator_decides_who_is_asked(install: Install, settings: Any, reachable: Origin) -> None:
    install("return 'https://93.184.216.35/a.mp4'")
    settings.RESOLVERS = ["example", "direct"]
    register({"url": reachable.put("/index.m3u8", PLAYLIST)})
    assert ways()[0]["url_resolved"] == "https://93.184.216.35/a.mp4"
    assert reachable.count("/index.m3u8") == 0


def test_a_name_that_no_resolver_has_is_an_error_at_the_start(install: Install, settings: Any) -> None:
    install("return None")
    settings.RESOLVERS = ["example", "direct"]
    call_command("check")
    settings.RESOLVERS = ["direct", "yt_dlp"]
    with pytest.raises(SystemCheckError, match=r"(?s)queue_app\.E001.*'yt_dlp'.*direct, example, yt-dlp"):
        call_command("check")


def test_secrets_of_the_url_stay_out_of_the_error(install: Install) -> None:
    install("raise ValueError('no answer from ' + url)")
    register({"url": f"{PAGE}?token=hush-hush", "resolver": "example"})
    assert ways()[0]["url_resolved"] is None
    assert "hush-hush" not in ResolvedSource.objects.get().error


def test_a_resolver_that_is_no_longer_there_says_so(transactional_db: None) -> None:
    register({"url": PAGE, "resolver": "example"})
    assert ways()[0]["url_resolved"] is None
    assert "no resolver of this name" in error_of(PAGE)


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
