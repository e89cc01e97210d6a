"""manage.py add_videos."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from queue_app.models import VideoQueue
from queue_app.video_files import CSV, read_videos

pytestmark = pytest.mark.django_db

HEADER = "mal_id,episode,provider,video_url,resolution,priority\n"
ROW = "55825,{},upload,https://93.184.216.34/{}.mp4?sig=secret,720p,\n"
Add = Callable[..., dict[str, Any]]


@pytest.fixture
def add(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Add:
    """Writes a file, imports it, and gives the JSON summary with the exit code and what went to stderr."""

    def run(content: str | bytes, *options: str, name: str = "videos.csv") -> dict[str, Any]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        code = 0
        try:
            call_command("add_videos", str(path), "--json", *options)
        except SystemExit as end:
            code = int(end.code or 0)
        output = capsys.readouterr()
        return {**json.loads(output.out), "code": code, "stderr": output.err}

    return run


def rows(number: int) -> str:
    return HEADER + "".join(ROW.format(n, n) for n in range(number))


def json_lines(*items: Any) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


VIDEO = {"mal_id": 1, "episode": 2, "provider": "p", "video_url": "https://93.184.216.34/v.mp4"}


def test_a_csv_is_taken_and_again_it_changes_nothing(add: Add) -> None:
    first = add(rows(3))
    before = list(VideoQueue.objects.order_by("pk").values())
    again = add(rows(3))
    assert (first["new"], first["code"], again["new"], again["known"]) == (3, 0, 0, {"pending": 3})
    assert list(VideoQueue.objects.order_by("pk").values()) == before


def test_json_lines_are_taken(add: Add) -> None:
    assert add(json_lines(VIDEO, {**VIDEO, "priority": 5}), name="a.jsonl")["lines"] == 2
    assert VideoQueue.objects.get().priority == 5


def test_a_byte_order_mark_crlf_blank_lines_and_any_order_of_columns_are_no_matter(add: Add) -> None:
    text = "\ufeffEpisode, provider ,note,mal_id,video_url\r\n\r\n7,upload,x,1,https://93.184.216.34/v\r\n,,,,\r\n\r\n"
    assert (add(text)["new"], VideoQueue.objects.get().episode) == (1, 7)
    assert VideoQueue.objects.get().resolution is None


def test_blank_json_lines_are_skipped(add: Add) -> None:
    assert add("\ufeff\r\n" + json_lines(VIDEO) + "\r\n  \n", name="a.ndjson")["lines"] == 1


def test_a_priority_is_set_and_an_empty_one_leaves_it(add: Add) -> None:
    add(HEADER + "1,1,p,https://93.184.216.34/v,,-7\n")
    add(HEADER + "1,1,p,https://93.184.216.34/v,,\n")
    assert VideoQueue.objects.get().priority == -7


def test_a_refused_line_is_named_and_the_others_are_taken(add: Add) -> None:
    result = add(HEADER + ROW.format(1, 1) + "\n" + ROW.format(-1, 2) + ROW.format(3, 3))
    assert (result["new"], result["refused"], result["code"]) == (2, 1, 1)
    assert result["errors"] == [{"line": 4, "errors": {"episode": ["Must be an integer."]}}]
    assert "line 4: refused: episode: Must be an integer." in result["stderr"]
    assert "secret" not in str(result)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("1,1,p", "line"), ("1,1,p,https://93.184.216.34/v,,,,", "line"), ("x,1,p,https://93.184.216.34/v,,", "mal_id"),
        ("1,1,,https://93.184.216.34/v,,", "provider"), ("1,1,p,http://10.0.0.1/,,", "video_url"),
        ("1,1,p,,,", "video_url"),
        ("1,1,p,https://93.184.216.34/v,a:b,", "resolution"), ("1,1,p,https://93.184.216.34/v,,40000", "priority"),
        ("1,1,p,https://93.184.216.34/v,,high", "priority"),
    ],
)  # fmt: skip
def test_a_row_that_is_refused_says_which_field(add: Add, row: str, field: str) -> None:
    (error,) = add(HEADER + row + "\n")["errors"]
    assert (error["line"], list(error["errors"])) == (2, [field])


@pytest.mark.parametrize(
    "line", ["{", "[1", '{"a": ' + "9" * 5000 + "}", "[" * 60_000, "1", '"x"', "null", "[]", "\ud800"]
)
def test_a_broken_json_line_is_named(add: Add, line: str) -> None:
    result = add(json_lines(VIDEO).encode() + line.encode(errors="surrogatepass") + b"\n", name="a.jsonl")
    assert (result["new"], result["errors"][0]["line"], result["code"]) == (1, 2, 1)


def test_bytes_that_are_not_utf_8_are_refused_where_they_stand(add: Add) -> None:
    (error,) = add(HEADER.encode() + b"1,1,caf\xe9,https://93.184.216.34/v,,\n")["errors"]
    assert (error["line"], list(error["errors"])) == (2, ["provider"])


def test_a_quotation_mark_left_open_is_told(add: Add) -> None:
    result = add(HEADER + '1,1,"p,https://93.184.216.34/v,,\n' + ROW.format(1, 1) * 4000)
    assert result["code"] == 1
    assert "Is a quotation mark left open?" in result["stderr"]


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ("mal_id,url\n1,x\n", "a.csv", "lacks episode, provider, video_url"),
        ("", "a.csv", "lacks mal_id, episode, provider, video_url"),
        (HEADER.replace("priority", "episode"), "a.csv", "names episode more than once"),
        ("x" * 70_000, "a.csv", "Line 1 is longer than 65536 bytes"),
        (HEADER, "a.txt", "add --format csv or jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(add: Add, content: str, name: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        add(content, name=name)


@pytest.mark.parametrize(("name", "sentence"), [("none.csv", "No such file"), ("", "Is a directory")])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("add_videos", str(tmp_path / name), "--format", "csv")


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(2))
    call_command("add_videos", str(path))
    VideoQueue.objects.filter(episode=1).update(status="failed")
    before = list(VideoQueue.objects.order_by("pk").values())
    path.write_text(rows(3) + ROW.format("x", 1))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        call_command("add_videos", str(path), "--dry-run")
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "line 2: known (pending): 55825 · 0 · upload · 720p",
        "line 3: revived (failed): 55825 · 1 · upload · 720p",
        "line 4: new: 55825 · 2 · upload · 720p",
        "Would be: 1 new, 1 revived, 1 known (1 pending), 1 refused.",
    ]
    assert "line 5: refused: episode: Must be an integer." in output.err
    assert list(VideoQueue.objects.order_by("pk").values()) == before


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(rows(2).encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    call_command("add_videos", "-", "--format", "csv", "--json")
    assert json.loads(capsys.readouterr().out)["new"] == 2


def test_a_file_of_several_batches_is_taken_whole(add: Add) -> None:
    result = add(rows(2500))
    assert (result["new"], VideoQueue.objects.count()) == (2500, 2500)


def test_reading_takes_no_more_memory_for_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(rows(50_000))
    tracemalloc.start()
    with path.open("rb") as file:
        assert sum(1 for _ in read_videos(file, CSV)) == 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1024 * 1024
