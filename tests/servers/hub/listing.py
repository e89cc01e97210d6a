"""Reading a repository: what is in it, and the bytes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote

from tests.servers.hub.faults import Empty, WrongHash, WrongSize
from tests.servers.hub.http import Answer, Refused, Request, Routes, answer_json, byte_range
from tests.servers.hub.state import Commit, Content, Entry, FileContent, git_oid, pointer
from tests.servers.misbehaviour import NoRange

api = Routes()
storage = Routes(storage=True)


@api("info", "GET", "/api/datasets/{repo}(?:/revision/(?P<revision>[^/]+))?")
def info(request: Request) -> Answer:
    """The dataset itself."""
    repo = request.repo()
    head = repo.at(request.params.get("revision", "main"))
    files = [{"rfilename": path} for path in sorted(head.files)]
    if request.query.get("blobs", "").lower() == "true":
        files = [{"rfilename": path, **_describe(request, path, head.files[path])} for path in sorted(head.files)]
    return answer_json(
        {
            "_id": git_oid(repo.id.encode())[:24],
            "id": repo.id,
            "author": repo.owner.name,
            "sha": head.oid,
            "createdAt": _date(repo.commits[0]),
            "lastModified": _date(head),
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "usedStorage": repo.storage,
            "siblings": files,
        }
    )


def _date(commit: Commit) -> str:
    return commit.date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@api("tree", "GET", "/api/datasets/{repo}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?")
def tree(request: Request) -> Answer:
    """A folder, or all below it."""
    repo = request.repo()
    files = repo.at(request.params["revision"]).files
    if Empty in request.due:
        return answer_json([])
    under = request.params.get("path", "").strip("/")
    inside = {path: entry for path, entry in files.items() if not under or path.startswith(under + "/")}
    if under and not inside:
        raise Refused(404, f"{under} does not exist on main", "EntryNotFound")
    found = [_file(request, path, entry) for path, entry in inside.items()] + _folders(inside, under)
    if request.query.get("recursive", "").lower() not in {"true", "1"}:
        found = [one for one in found if str(PurePosixPath(one["path"]).parent) == (under or ".")]
    return request.hub.page(request, sorted(found, key=lambda one: str(one["path"])))


def _folders(files: dict[str, Entry], under: str) -> list[dict[str, Any]]:
    parents = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    return [
        {"type": "directory", "oid": git_oid(path.encode()), "size": 0, "path": path}
        for path in parents
        if path not in {".", under} and (not under or path.startswith(under + "/"))
    ]


def _file(request: Request, path: str, entry: Entry) -> dict[str, Any]:
    return {"type": "file", "path": path, **_describe(request, path, entry)}


def _describe(request: Request, path: str, entry: Entry) -> dict[str, Any]:
    size, sha256 = _claims(request, entry)
    told: dict[str, Any] = {"oid": entry.oid, "size": size}
    if sha256 is not None:
        told["lfs"] = {"oid": sha256, "size": size, "pointerSize": len(pointer(sha256, size))}
    return told | ({"xetHash": entry.xet_hash} if entry.xet_hash else {})


def _claims(request: Request, entry: Entry) -> tuple[int, str | None]:
    """The size and the hash to name, true or not."""
    sha256 = entry.sha256
    if sha256 is not None and WrongHash in request.due:
        sha256 = sha256[::-1]
    return entry.size - (WrongSize in request.due), sha256


@api("paths-info", "POST", "/api/datasets/{repo}/paths-info/(?P<revision>[^/]+)")
def paths_info(request: Request) -> Answer:
    """Some files and folders; what isn't there is left out."""
    files = request.repo().at(request.params["revision"]).files
    asked = request.body.read().decode()
    paths = parse_qs(asked)["paths"] if not asked.startswith("{") else []
    found = [_file(request, path, files[path]) for path in paths if path in files]
    found += [one for one in _folders(files, "") if one["path"] in paths]
    return answer_json([] if Empty in request.due else found)


@api("commits", "GET", "/api/datasets/{repo}/commits/(?P<revision>[^/]+)")
def commits(request: Request) -> Answer:
    """The history, newest first."""
    repo = request.repo()
    repo.at(request.params["revision"])
    told = [
        {
            "id": one.oid,
            "title": one.title,
            "message": one.message,
            "date": _date(one),
            "authors": [{"user": repo.owner.name}],
        }
        for one in reversed(repo.commits)
    ]
    return request.hub.page(request, told)


@api("refs", "GET", "/api/datasets/{repo}/refs")
def refs(request: Request) -> Answer:
    """There is `main` only."""
    head = request.repo().head.oid
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": head}
    return answer_json({"branches": [main], "converts": [], "tags": []})


@api("lfs-files", "GET", "/api/datasets/{repo}/lfs-files")
def lfs_files(request: Request) -> Answer:
    """Every large file that counts as storage, mentioned by `main` or not."""
    repo = request.repo(write=True)
    told = [
        {
            "fileOid": sha256,
            "filename": path,
            "oid": git_oid(pointer(sha256, repo.objects[sha256].content.size)),
            "pushedAt": _date(repo.head),
            "ref": "main",
            "size": repo.objects[sha256].content.size,
        }
        for sha256, path in list(repo.kept.items())
    ]
    return request.hub.page(request, told)


@api("lfs-delete", "POST", "/api/datasets/{repo}/lfs-files/batch")
def lfs_delete(request: Request) -> Answer:
    """Forget large files for good, in `main` too."""
    repo = request.repo(write=True)
    wanted = set(request.body.json()["deletions"]["sha"])
    with request.hub.state.lock:
        gone = {sha256 for sha256 in repo.kept if sha256 in wanted}
        for sha256 in gone:
            del repo.kept[sha256], repo.objects[sha256]
        files = {path: entry for path, entry in repo.head.files.items() if entry.sha256 not in gone}
        if len(files) != len(repo.head.files):
            repo.add_commit(files, "Delete LFS files")
    return answer_json({})


@api("resolve", "GET", "/datasets/{repo}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(request: Request) -> Answer:
    """A file: itself, or the way to it on the second origin."""
    repo = request.repo()
    commit, path = repo.at(request.params["revision"]), request.params["path"]
    entry = commit.files.get(path)
    if entry is None or Empty in request.due:
        raise Refused(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.oid})
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    size, sha256 = _claims(request, entry)
    if sha256 is None:
        return ranged(request, entry.content, headers | {"ETag": f'"{entry.oid}"'})
    headers |= {"X-Linked-Size": str(size), "X-Linked-Etag": f'"{sha256}"', "ETag": f'"{sha256}"'}
    if entry.xet_hash and not isinstance(entry.content, FileContent):  # a corrupted copy is read here, not by Xet
        auth = f"{request.hub.endpoint}/api/datasets/{repo.id}/xet-read-token/{commit.oid}"
        headers |= {"X-Xet-Hash": entry.xet_hash, "Link": f'<{auth}>; rel="xet-auth"'}
    location = request.hub.sign(f"/content/{repo.id}/{commit.oid}/{quote(path)}", request.user)
    return Answer(302, headers | {"Location": location, "Vary": "Origin, Accept"})


@storage("cdn", "GET", "/content/{repo}/(?P<commit>[0-9a-f]{40})/(?P<path>.+)")
def content(request: Request) -> Answer:
    """The bytes, to whoever holds a signed URL that hasn't expired."""
    request.hub.check_signature(request)
    repo = request.hub.state.repos.get(request.params["repo"])
    entry = repo.at(request.params["commit"]).files.get(request.params["path"]) if repo else None
    if entry is None:
        raise Refused(404, "NoSuchKey")
    return ranged(request, entry.content, {"ETag": f'"{entry.sha256}"', "Accept-Ranges": "bytes"})


def ranged(request: Request, content: Content, headers: dict[str, str]) -> Answer:
    """The whole, or the range that is asked for."""
    span = None if NoRange in request.due else byte_range(request.headers.get("Range"), content.size)
    start, end = span or (0, content.size)
    if span:
        headers = headers | {"Content-Range": f"bytes {start}-{end - 1}/{content.size}"}
    headers = {"Content-Type": "application/octet-stream", **headers}
    return Answer(206 if span else 200, headers, content.read(start, end), end - start)
