"""Signed URLs hold against everybody who has one; `tests/edge` asks the same of the Worker's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_site.playback_keys import derived
from storage_app.playback.signing import MAX_URL, Grant, Key, Keyring, Refused, Signer, directory, percent_encoded
from tests.vectors.signing_cases import SPACED

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/signing.json").read_text(encoding="utf-8"))
RING = Keyring(VECTORS["key"], VECTORS["older"])
EXPIRES, NOW = VECTORS["expires"], VECTORS["now"]
URL = "https://h.example/a/s.ts"


def named(case: dict[str, Any]) -> str:
    return str(case.get("name") or case["url"][:60])


def signer(key: str = VECTORS["key"]) -> Signer:
    return Signer(Key(key), EXPIRES)


def parsed(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def error_of(query: dict[str, str]) -> str:
    """The word for programs."""
    with pytest.raises(Refused) as refusal:
        RING.verify(query, NOW)
    return refusal.value.error


@pytest.mark.parametrize("case", VECTORS["links"], ids=named)
def test_links_are_those_of_the_vectors(case: dict[str, str]) -> None:
    call = signer().child if case["call"] == "child" else signer().exact
    extra = [case["variables"]] if "variables" in case else []
    assert call(case["url"], *extra) == case["query"]


@pytest.mark.parametrize("case", VECTORS["links"], ids=named)
def test_every_link_opens_what_it_was_made_for(case: dict[str, str]) -> None:
    grant = RING.verify(parsed(case["query"]), NOW)
    assert grant == Grant(SPACED.get(case["url"], case["url"]), EXPIRES, case.get("variables", ""))


@pytest.mark.parametrize("case", VECTORS["verify"], ids=named)
def test_queries_are_granted_or_refused_as_the_vectors_say(case: dict[str, Any]) -> None:
    if "grant" in case:
        assert RING.verify(parsed(case["query"]), NOW) == Grant(**case["grant"])
        return
    with pytest.raises(Refused) as refusal:
        RING.verify(parsed(case["query"]), NOW)
    assert {"status": refusal.value.status, "error": refusal.value.error, "detail": str(refusal.value)} == case[
        "refused"
    ]


@pytest.mark.parametrize(("url", "folder"), VECTORS["directories"].items())
def test_a_directory_holds_only_names_that_stay_in_it(url: str, folder: str | None) -> None:
    assert directory(url) == folder


def test_ids_and_derived_keys_are_those_of_the_vectors() -> None:
    assert {secret: Key(secret).kid for secret in VECTORS["kids"]} == VECTORS["kids"]
    assert {salt: derived(salt) for salt in VECTORS["derived"]} == VECTORS["derived"]


@pytest.mark.parametrize("position", range(len(parsed(signer().exact(URL))["sig"])))
def test_no_letter_of_a_signature_may_change(position: int) -> None:
    query = parsed(signer().exact(URL))
    letters = list(query["sig"])
    letters[position] = "A" if letters[position] != "A" else "B"
    assert error_of({**query, "sig": "".join(letters)}) == "bad_signature"


def test_a_key_that_was_taken_away_signs_nothing_any_more() -> None:
    query = parsed(signer(VECTORS["older"][0]).child(URL))
    assert RING.verify(query, NOW).url == URL
    with pytest.raises(Refused, match="not ours"):
        Keyring(VECTORS["key"]).verify(query, NOW)


def test_a_link_ends_at_the_second_it_says() -> None:
    query = parsed(signer().exact(URL))
    assert RING.verify(query, EXPIRES - 0.001).expires == EXPIRES
    with pytest.raises(Refused, match="expired") as refusal:
        RING.verify(query, EXPIRES)
    assert refusal.value.status == 410


@pytest.mark.parametrize("keys", [[""], ["new", ""], ["new", "old", ""]])
def test_an_empty_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Keyring(keys[0], keys[1:])


def test_a_key_does_not_show_itself() -> None:
    assert "hush" not in repr(Key("hush")) + repr(Signer(Key("hush"), 1)) + str(Keyring("hush").__dict__)


@pytest.mark.parametrize("field", ["url", "sig", "vars"])
def test_text_that_has_no_utf8_is_refused_without_a_crash(field: str) -> None:
    query = parsed(signer().exact(URL, "a=1"))
    assert error_of({**query, field: query[field] + "\ud800"}) == "bad_signature"


def test_the_limit_counts_characters_not_bytes() -> None:
    most = "https://h.example/" + "🎬" * (MAX_URL - 18)
    assert RING.verify(parsed(signer().exact(most)), NOW).url == most
    assert error_of(parsed(signer().exact(most + "x"))) == "bad_request"


def test_url_stays_last_for_players_that_look_for_an_extension() -> None:
    assert all(
        query.endswith("s.ts") for query in (signer().exact(URL, "a=1"), signer().exact(URL), signer().child(URL))
    )


@given(st.text())
def test_encoding_is_that_of_the_standard_library(text: str) -> None:
    assert percent_encoded(text) == quote(text, safe="")


NAMES = st.text(st.sampled_from("./\\%2e5cCfF;?#: a\u2025\uff0f\x00é"), max_size=12)


@given(NAMES, NAMES)
def test_one_directory_never_signs_for_another(granted: str, asked: str) -> None:
    folder = "https://h.example/a/"
    query = parsed(signer().within(folder) + quote(granted, safe=""))
    outside = f"https://h.example/{asked}"
    if directory(outside) != folder:
        assert error_of({**query, "url": outside}) == "bad_signature"


@given(st.text(max_size=40), st.sampled_from(["", "a=1", "a=%26&b="]))
def test_whatever_is_signed_is_granted(tail: str, variables: str) -> None:
    url = f"https://h.example/a/{tail}"
    for query in (signer().exact(url, variables), signer().child(url)):
        assert RING.verify(parsed(query), NOW).url.startswith("https://h.example/a/")
