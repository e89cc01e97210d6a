"""What the Worker needs to be told, and what it says of itself."""

from __future__ import annotations

import json
import subprocess
import time
import tomllib
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import settings

from archive_site.playback_keys import derived
from storage_app.playback.signing import Key, Signer
from tests.edge.lookups import KEY, TOKEN, Lookups
from tests.servers.origin import Origin
from tests.servers.workerd import SOURCE, Edge, program


def test_it_says_that_it_is_well(edge: Edge) -> None:
    answer = requests.get(edge.url("/health"), timeout=60)
    assert answer.json() == {"status": "ok", "worker": "weaboo-stream"}
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/", "/admin/", "/proxyx", "/api/v1/store/1/1/x", "/stream"])
def test_it_knows_nothing_else(edge: Edge, path: str) -> None:
    answer = requests.get(edge.url(path), timeout=60)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_any_address_answers_a_preflight(edge: Edge) -> None:
    answer = requests.options(edge.url("/anything"), timeout=60)
    assert (answer.status_code, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


def test_a_salt_will_do_for_a_key(start_edge: Callable[..., Edge], origin: Origin) -> None:
    edge = start_edge([origin.host_port], PROXY_SIGNING_KEY="", HF_FILE_SALT="the-salt")
    query = Signer(Key(derived("the-salt")), 4_000_000_000).exact(origin.put("/v.mp4", b"video"))
    assert requests.get(edge.url(f"/proxy?{query}"), timeout=60).content == b"video"


def test_it_and_the_site_sign_with_the_same_key(edge: Edge, origin: Origin) -> None:
    """Unless a key is set, both derive it from the same salt."""
    assert derived(settings.HF_FILE_SALT) == settings.PROXY_SIGNING_KEY
    assert requests.get(edge.proxied(origin.put("/v.mp4", b"video")), timeout=60).content == b"video"


def test_without_any_key_it_says_what_is_missing(start_edge: Callable[..., Edge]) -> None:
    edge = start_edge(PROXY_SIGNING_KEY="")
    answer = requests.get(edge.url("/proxy?url=x&exp=1&kid=a&sig=b"), timeout=60)
    assert (answer.status_code, answer.json()["error"]) == (503, "not_set_up")
    assert "PROXY_SIGNING_KEY" in answer.json()["detail"]


@pytest.mark.parametrize("missing", ["STORE_URL", "EDGE_TOKEN"])
def test_without_an_archive_too(start_edge: Callable[..., Edge], missing: str) -> None:
    edge = start_edge(**{"STORE_URL": "https://archive.example", "EDGE_TOKEN": "x", missing: ""})
    answer = requests.get(edge.url("/stream/1/1/x"), timeout=60)
    assert (answer.status_code, answer.json()["error"]) == (503, "not_set_up")
    assert missing in answer.json()["detail"]


def test_its_links_are_good_for_as_long_as_it_is_told(start_edge: Callable[..., Edge], origin: Origin) -> None:
    text = b"#EXTM3U\n#EXTINF:4,\nseg.ts\n"
    with Lookups(origin) as lookups:
        lookups.source(origin.put("/v.m3u8", text))
        edge = start_edge([origin.host_port], STORE_URL=lookups.url(""), EDGE_TOKEN=TOKEN, PROXY_URL_HOURS="1")
        answer = requests.get(edge.url(f"/stream/{KEY}"), timeout=60)
    expires = int(urlsplit(answer.text.splitlines()[2]).query.partition("&")[0].removeprefix("exp="))
    assert expires % 600 == 0
    assert 3000 < expires - time.time() <= 4200


def test_no_secret_stands_in_its_configuration() -> None:
    wrangler = tomllib.loads((SOURCE / "wrangler.toml").read_text(encoding="utf-8"))
    assert set(wrangler["vars"]) == {"STORE_URL", "PROXY_URL_HOURS", "FAILOVER"}
    assert wrangler["main"] == "src/index.js"


def test_the_lock_file_pins_bytes_and_names_no_registry() -> None:
    text = (SOURCE / "package-lock.json").read_text(encoding="utf-8")
    packages = [entry for name, entry in json.loads(text)["packages"].items() if name]
    assert packages
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in packages)


def test_workerd_is_of_the_pinned_version(edge: Edge) -> None:
    found = program()
    assert found is not None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    pinned = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))["optionalDependencies"]
    date = pinned["@cloudflare/workerd-linux-64"].split(".")[1]
    assert told.strip().replace("-", "").endswith(date)
