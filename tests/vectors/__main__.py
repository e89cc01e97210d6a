"""Write `signing.json` and `playlists.json` from the cases: `python -m tests.vectors`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage_app.playback.signing import Key, Signer
from tests.vectors.playlist_cases import SEGMENTS, TAGS, UNTOUCHED, Case
from tests.vectors.playlist_documents import DOCUMENTS
from tests.vectors.signing_cases import EXPIRES, KEY, signing

FOLDER = Path(__file__).parent
MARKED = re.compile("«([^»]*)»")
CARRIES = re.compile(r"#EXT-X-(?:MEDIA|I-FRAME-STREAM-INF|RENDITION-REPORT):|[^#]")


def main() -> None:
    """Both files."""
    write("playlists.json", playlists())
    write("signing.json", signing())


def playlists() -> dict[str, Any]:
    """The content of the file."""
    cases = [vector(case) for case in (*SEGMENTS, *UNTOUCHED, *TAGS, *DOCUMENTS)]
    return {"key": KEY, "expires": EXPIRES, "cases": cases}


def write(name: str, content: object) -> None:
    """In a form that shows in a diff what has changed."""
    (FOLDER / name).write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def vector(case: Case) -> dict[str, Any]:
    """What both languages read."""
    signer = Signer(Key(KEY), EXPIRES)
    urls = iter(case.links)
    template = case.text if case.output is None else case.output
    output = "".join(linked(line, urls, signer, case) for line in re.split(r"(?<=[\r\n])", template))
    assert next(urls, None) is None, case.name
    more = {"variables": case.variables} if case.variables else {}
    encoding = {"encoding": "latin-1"} if case.latin else {}
    text = MARKED.sub(r"\1", case.text)
    return {
        "name": case.name,
        "base": case.base,
        **more,
        **encoding,
        "input": text,
        "links": case.links,
        "output": output,
    }


def linked(line: str, urls: Iterator[str], signer: Signer, case: Case) -> str:
    """The line with its links."""
    carries = case.handed_on and CARRIES.match(line) and not (case.variables and line[0] != "#")

    def link(_: re.Match[str]) -> str:
        url = next(urls)
        return "/proxy?" + (signer.exact(url, case.handed_on) if carries else signer.child(url))

    return MARKED.sub(link, line)


if __name__ == "__main__":
    main()
