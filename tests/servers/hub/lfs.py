"""Git LFS as the Hub does it: batch, PUT in one or in parts, verify.

<https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>, and the Hub's multipart transfer.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from tests.servers.hub.faults import FULL, WrongHash
from tests.servers.hub.http import Answer, Refused, Request, Routes, answer_json
from tests.servers.hub.state import FileContent, Object, Repo, sha256_of

api = Routes()
storage = Routes(storage=True)


@api("batch", "POST", r"/datasets/{repo}\.git/info/lfs/objects/batch")
def batch(request: Request) -> Answer:
    """Where to send which object; nowhere for what the repository has."""
    repo = request.repo(write=True)
    wanted = request.body.json()["objects"]
    new = [one for one in wanted if one["oid"] not in repo.objects]
    room = request.hub.state.room(repo)
    if room is not None and sum(one["size"] for one in new) > room:
        raise Refused(403, FULL)
    objects = [
        {"oid": one["oid"], "size": one["size"], **({"actions": _actions(request, repo, one)} if one in new else {})}
        for one in wanted
    ]
    return answer_json({"transfer": "basic", "objects": objects})


def _actions(request: Request, repo: Repo, one: dict[str, Any]) -> dict[str, Any]:
    hub, sha256, size = request.hub, one["oid"], one["size"]
    verify = {"href": f"{hub.endpoint}/datasets/{repo.id}.git/info/lfs/verify"}
    if size <= hub.multipart_over:
        return {"upload": {"href": hub.sign(f"/lfs/{repo.id}/{sha256}", repo.owner)}, "verify": verify}
    count = -(-size // hub.part_size)
    header = {str(number): hub.sign(f"/lfs/{repo.id}/{sha256}/{number}", repo.owner) for number in range(1, count + 1)}
    done = hub.sign(f"/datasets/{repo.id}.git/info/lfs/complete", repo.owner, hub.endpoint)
    return {"upload": {"href": done, "header": {"chunk_size": str(hub.part_size), **header}}, "verify": verify}


def _arriving(request: Request, repo_id: str, sha256: str) -> Path:
    folder = request.hub.state.folder / "arriving" / repo_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder / sha256


@storage("put", "PUT", r"/lfs/{repo}/{hash}", kind="lfs")
def put(request: Request) -> Answer:
    """A whole object."""
    request.hub.check_signature(request)
    path = _arriving(request, request.params["repo"], request.params["hash"])
    half = path.with_name(request.hub.state.new_file("half").name)
    with half.open("wb") as file:
        for block in request.body:
            file.write(block)
    half.replace(path)
    return Answer(headers={"ETag": '"whole"'})


@storage("part", "PUT", r"/lfs/{repo}/{hash}/(?P<number>\d+)", kind="lfs")
def part(request: Request) -> Answer:
    """A part of an object."""
    request.hub.check_signature(request)
    path = _arriving(request, request.params["repo"], request.params["hash"])
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    digest, position = hashlib.md5(), (int(request.params["number"]) - 1) * request.hub.part_size
    try:
        for block in request.body:
            os.pwrite(file, block, position)
            position += len(block)
            digest.update(block)
    finally:
        os.close(file)
    etag = f'"{digest.hexdigest()}"'
    with request.hub.state.lock:
        request.hub.parts.setdefault(str(path), {})[int(request.params["number"])] = etag
    return Answer(headers={"ETag": etag})


@api("complete", "POST", r"/datasets/{repo}\.git/info/lfs/complete")
def complete(request: Request) -> Answer:
    """All parts are there."""
    request.hub.check_signature(request)
    asked = request.body.json()
    path = _arriving(request, request.params["repo"], asked["oid"])
    told = {one["partNumber"]: one["etag"] for one in asked["parts"]}
    if request.hub.parts.pop(str(path), None) != told:
        raise Refused(400, "One or more of the specified parts could not be found.")
    return answer_json({})


@api("verify", "POST", r"/datasets/{repo}\.git/info/lfs/verify")
def verify(request: Request) -> Answer:
    """Take an object in, if it is what it was said to be."""
    repo, asked = request.repo(write=True), request.body.json()
    with request.hub.state.lock:  # the same content may arrive twice at the same time
        return _take_in(request, repo, asked)


def _take_in(request: Request, repo: Repo, asked: dict[str, Any]) -> Answer:
    arrived = _arriving(request, repo.id, asked["oid"])
    if not arrived.exists():
        if asked["oid"] in repo.objects:  # another upload of it was verified just now
            return answer_json({})
        raise Refused(404, "Object does not exist")
    content = FileContent(arrived, arrived.stat().st_size)
    if content.size != asked["size"] or sha256_of(content) != asked["oid"] or WrongHash in request.due:
        arrived.unlink()
        raise Refused(400, "The uploaded object doesn't match its size or sha256")
    kept = request.hub.state.new_file("lfs")
    arrived.replace(kept)
    repo.objects[asked["oid"]] = Object(FileContent(kept, content.size))
    return answer_json({})
