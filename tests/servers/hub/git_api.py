"""The Hub's own API: accounts, repositories, commits."""

from __future__ import annotations

import base64
import json
from collections import Counter
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

from tests.servers.hub.faults import FULL
from tests.servers.hub.http import Answer, Refused, Request, Routes, answer_json
from tests.servers.hub.state import Entry, Repo

api = Routes()

REGULAR_LIMIT = 10_000_000
"""Bytes above which a file has to be a large one, whatever its name."""


@api("whoami", "GET", "/api/whoami-v2")
def whoami(request: Request) -> Answer:
    """Whose token it is."""
    user = request.signed_in()
    role = "read" if user.read_only else "write"
    return answer_json(
        {
            "type": "user",
            "id": user.name,
            "name": user.name,
            "fullname": user.name,
            "email": f"{user.name}@example.org",
            "emailVerified": True,
            "canPay": False,
            "isPro": user.pro,
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": role}},
        }
    )


@api("repositories", "GET", "/api/settings/repositories")
def repositories(request: Request) -> Answer:
    """Every repository of the sender and what it weighs."""
    user = request.signed_in()
    with request.hub.state.lock:
        own = [repo for repo in request.hub.state.repos.values() if repo.owner is user]
        total = sum(repo.storage for repo in own)
        told = [_storage_of(repo, total) for repo in own]
    return request.hub.page(request, told)


def _storage_of(repo: Repo, total: int) -> dict[str, Any]:
    return {
        "id": repo.id,
        "type": "dataset",
        "updatedAt": repo.head.date.isoformat().replace("+00:00", "Z"),
        "visibility": "private" if repo.private else "public",
        "storage": repo.storage,
        "storagePercent": repo.storage / total if total else 0,
    }


@api("create", "POST", "/api/repos/create")
def create(request: Request) -> Answer:
    """A new dataset."""
    user, asked = request.signed_in(), request.body.json()
    owner, name = asked.get("organization") or user.name, asked["name"]
    if asked.get("type") != "dataset":
        raise Refused(400, "Only datasets are played here.")
    if owner != user.name or user.read_only:
        raise Refused(403, f'You don\'t have the rights to create a dataset under the namespace "{owner}".')
    url = f"{request.hub.endpoint}/datasets/{owner}/{name}"
    with request.hub.state.lock:
        if f"{owner}/{name}" in request.hub.state.repos:
            return answer_json({"error": "You already created this dataset repo", "url": url}, 409)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        request.hub.state.create(user, name, private=private)
    return answer_json({"url": url, "name": f"{owner}/{name}", "id": f"{owner}/{name}"})


@api("delete-repo", "DELETE", "/api/repos/delete")
def delete_repo(request: Request) -> Answer:
    """Forget a dataset."""
    user, asked = request.signed_in(), request.body.json()
    repo = request.repo_named(f"{asked.get('organization') or user.name}/{asked['name']}", write=True)
    with request.hub.state.lock:
        request.hub.state.repos.pop(repo.id, None)
    return answer_json({})


@api("settings", "PUT", "/api/datasets/{repo}/settings")
def settings(request: Request) -> Answer:
    """Make a dataset private or public."""
    repo, asked = request.repo(write=True), request.body.json()
    repo.private = asked.get("visibility") == "private" if "visibility" in asked else bool(asked.get("private"))
    return answer_json({"private": repo.private})


@api("auth-check", "GET", "/api/datasets/{repo}/auth-check(?P<write>/write)?")
def auth_check(request: Request) -> Answer:
    """Whether the sender may see it, or write to it."""
    request.repo(write="write" in request.params)
    return answer_json({})


@api("validate-yaml", "POST", "/api/validate-yaml")
def validate_yaml(request: Request) -> Answer:
    """The metadata of a README.md; anything is good enough here."""
    request.body.read()
    return answer_json({"errors": [], "warnings": []})


@api("preupload", "POST", "/api/datasets/{repo}/preupload/(?P<revision>[^/]+)")
def preupload(request: Request) -> Answer:
    """How each file is to be sent, and what lies at its path now."""
    repo = request.repo(write=True)
    head = repo.at(request.params["revision"])
    attributes = b"".join(head.files[".gitattributes"].content.read(0, REGULAR_LIMIT)).decode()
    patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]
    told = []
    for file in request.body.json()["files"]:
        path, there = file["path"], head.files.get(file["path"])
        large = file["size"] > REGULAR_LIMIT or _matches(path, patterns) or _binary(base64.b64decode(file["sample"]))
        info = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        told.append(info | ({"oid": there.sha256 or there.oid} if there else {}))
    return answer_json({"files": told, "commitOid": head.oid})


def _matches(path: str, patterns: list[str]) -> bool:
    return any(fnmatch(PurePosixPath(path).name, pattern) for pattern in patterns)


def _binary(sample: bytes) -> bool:
    return b"\0" in sample


@api("commit", "POST", "/api/datasets/{repo}/commit/(?P<revision>[^/]+)", kind="commit")
def commit(request: Request) -> Answer:
    """Operations, one JSON object in a line, applied together or not at all."""
    repo = request.repo(write=True)
    lines = [json.loads(line) for line in request.body.read().splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    with request.hub.state.lock:
        head = repo.at(request.params["revision"])
        if header.get("parentCommit") not in {None, head.oid}:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines:
            _apply(request, repo, files, line["key"], line["value"])
        _check_room(request, repo, files)
        _check_folders(request, files)
        new = repo.add_commit(files, header["summary"], header.get("description", ""))
    return answer_json(
        {
            "success": True,
            "commitOid": new.oid,
            "commitUrl": f"{request.hub.endpoint}/datasets/{repo.id}/commit/{new.oid}",
            "hookOutput": "",
        }
    )


def _apply(request: Request, repo: Repo, files: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
    if key == "file":
        content = base64.b64decode(value["content"])
        if _binary(content) or len(content) > REGULAR_LIMIT:
            raise Refused(400, "Your push was rejected because it contains binary files.")
        files[value["path"]] = request.hub.state.regular(content)
    elif key == "lfsFile":
        if value["oid"] not in repo.objects:
            raise Refused(400, "Your push was rejected because an LFS pointer pointed to a file that does not exist.")
        files[value["path"]] = request.hub.state.large(repo, value["oid"])
    elif key in {"deletedFile", "deletedFolder"}:
        _delete(files, value["path"], folder=key == "deletedFolder")
    elif key != "header":
        raise Refused(400, f"Unknown operation {key}")


def _delete(files: dict[str, Entry], path: str, *, folder: bool) -> None:
    gone = [one for one in files if (one.startswith(path.rstrip("/") + "/") if folder else one == path)]
    if not gone:
        raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
    for one in gone:
        del files[one]


def _check_room(request: Request, repo: Repo, files: dict[str, Entry]) -> None:
    room = request.hub.state.room(repo)
    new = {entry.sha256: entry.size for entry in files.values() if entry.sha256 and entry.sha256 not in repo.kept}
    if room is not None and sum(new.values()) > room:
        raise Refused(403, FULL)


def _check_folders(request: Request, files: dict[str, Entry]) -> None:
    entries = {part for path in files for part in (PurePosixPath(path), *PurePosixPath(path).parents)}
    for folder, count in Counter(entry.parent for entry in entries if entry.name).items():
        if count > request.hub.folder_limit:
            raise Refused(
                400,
                "Your push was rejected because it contains too many files per directory. Each directory in your git"
                f" repo can only contain up to {request.hub.folder_limit} files. Offending directory: {folder}",
            )


@api("duplicate", "POST", "/api/datasets/{repo}/lfs-files/duplicate")
def duplicate(request: Request) -> Answer:
    """Make large files of this repository known to another one, for a commit that will follow."""
    source, asked = request.repo(), request.body.json()
    target = request.repo_named(asked["target"]["name"], write=True)
    failed = []
    for file in asked["files"]:
        there = source.objects.get(file["sha256"])
        if there is None or file["sha256"] not in source.kept:
            failed.append({"sha256": file["sha256"], "error": "File not found"})
            continue
        with request.hub.state.lock:
            target.objects.setdefault(file["sha256"], there)
    return answer_json({"success": not failed, "failed": failed})
