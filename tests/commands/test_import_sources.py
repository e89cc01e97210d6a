"""`manage.py import_sources`."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.core.management import CommandError, call_command

from queue_app.models import Work, WorkSource

URL = "https://93.184.216.34/watch/1"
SOURCE = {"episode": 1, "provider": "animasu", "label": "Vidhidepro 720p", "url": URL, "resolution": "720p"}
WORK: dict[str, Any] = {"mal_id": 55825, "title": "A title", "sources": [SOURCE, {**SOURCE, "episode": "2"}]}
SCHEMA = json.loads(Path("queue_app/sources/sources.schema.json").read_text(encoding="utf-8"))

pytestmark = pytest.mark.django_db


def run(tmp_path: Path, content: Any, *options: str) -> str:
    file = tmp_path / "sources.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    output = io.StringIO()
    call_command("import_sources", str(file), *options, stdout=output)
    return output.getvalue()


def refused(tmp_path: Path, content: Any) -> str:
    file = tmp_path / "sources.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    faults = io.StringIO()
    with pytest.raises(CommandError, match="nothing was written"):
        call_command("import_sources", str(file), stderr=faults)
    return faults.getvalue()


def test_works_are_registered_and_again_nothing_changes(tmp_path: Path) -> None:
    assert "new, 2 sources added" in run(tmp_path, {"works": [WORK]})
    assert [source.episode for source in WorkSource.objects.all()] == [1, 2]
    again = json.loads(run(tmp_path, {"works": [WORK]}, "--json"))
    assert again["works"][0]["changes"] == {"created": False, "added": 0, "changed": 0, "removed": 0}


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    assert "new, 2 sources added" in run(tmp_path, {"works": [WORK]}, "--dry-run")
    assert not Work.objects.exists()


def test_a_host_is_looked_up_once_for_all_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_kwargs: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr("archive_site.addresses.socket.getaddrinfo", getaddrinfo)
    works = [
        {"mal_id": n, "title": "A title", "sources": [{**SOURCE, "url": f"https://one.test/{n}"}]} for n in range(50)
    ]
    assert "Registered: 50 works." in run(tmp_path, {"works": works})
    assert asked == ["one.test"]


def test_the_documented_example_is_taken(tmp_path: Path) -> None:
    text = Path("docs/sources.md").read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
    jsonschema.validate(json.loads(text), SCHEMA)
    # Names of the example don't resolve here, and pass for that.
    assert "Registered: 1 works." in run(tmp_path, text)


def change(**changes: Any) -> dict[str, Any]:
    return {"works": [{**WORK, "mal_id": 1}, {**WORK, "sources": [SOURCE, {**SOURCE, "episode": 7, **changes}]}]}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (change(episode=-1), "works[1].sources[1].episode: "),
        (change(provider="a/b"), "works[1].sources[1].provider: "),
        (change(url="ftp://93.184.216.34/"), "works[1].sources[1].url: "),
        (change(resolution="a:b"), "works[1].sources[1].resolution: "),
        (change(lable="x"), "works[1].sources[1].lable: There is no such field."),
        ({"works": [{**WORK, "titel": "x"}]}, "works[0].titel: There is no such field."),
        ({"works": [{**WORK, "title": ""}]}, "works[0].title: "),
        ({"works": [{**WORK, "mal_id": 2**63}]}, "works[0].mal_id: "),
        ({"works": [7]}, "works[0]: "),
        ({"works": {}}, "The file must hold"),
        ([], "The file must hold"),
    ],
)
def test_a_fault_is_told_by_its_place_and_by_the_schema_too(tmp_path: Path, content: Any, place: str) -> None:
    assert place in refused(tmp_path, content)
    assert not Work.objects.exists()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (change(url="http://10.0.0.1/"), "works[1].sources[1].url: "),
        ({"works": [WORK, WORK]}, "works[1].mal_id: This work stands in the file twice."),
        ('{"works": [', "The file is not JSON"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "not JSON"),
    ],
)
def test_what_no_schema_can_say_is_refused_too(tmp_path: Path, content: Any, place: str) -> None:
    assert place in refused(tmp_path, content)
    assert not Work.objects.exists()


def test_a_file_that_isnt_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_sources", str(tmp_path / "none.json"))
