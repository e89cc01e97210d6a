"""Makes a bucket ready: it exists, browsers may read from it across origins, and everybody may, if that is wanted."""

from __future__ import annotations

import json
from typing import Any

from storage_app.backends.base import ObjectMissingError, StorageAuthError
from storage_app.backends.s3_client import Client
from storage_app.backends.s3_errors import UnsetError, UnsupportedError

CORS_RULE: dict[str, Any] = {
    "ID": "reelkeep",
    "AllowedOrigins": ["*"],
    "AllowedMethods": ["GET", "HEAD"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["Accept-Ranges", "Content-Length", "Content-Range", "Content-Type", "ETag", "Last-Modified"],
    "MaxAgeSeconds": 86400,
}
STATEMENT = "ReelkeepPublicRead"


def ensure_bucket(client: Client, *, public_read: bool) -> list[str]:
    """Do what is missing; a sentence for each thing that was done. Doing it again does nothing. Raises StorageError."""
    done = []
    if _create(client):
        done.append("created")
    if _set_cors(client):
        done.append("reading from other origins allowed (CORS)")
    if public_read and _open_to_all(client):
        done.append("reading allowed to everybody")
    return done


def _create(client: Client) -> bool:
    try:
        client.call("head_bucket")
    except ObjectMissingError:
        client.call("create_bucket", **_location(client))
        return True
    except StorageAuthError as error:
        raise StorageAuthError(f"{error} A bucket of that name may belong to somebody else; choose another.") from error
    return False


def _location(client: Client) -> dict[str, Any]:
    """Amazon wants to be told the region again; others don't know Amazon's names."""
    bucket = client.bucket
    if bucket.endpoint or bucket.region in {"", "us-east-1"}:
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": bucket.region}}


def _set_cors(client: Client) -> bool:
    """Leaves other rules as they are."""
    try:
        rules = client.call("get_bucket_cors").get("CORSRules", [])
    except UnsetError:
        rules = []
    if any(_same_rule(rule) for rule in rules):
        return False
    others = [rule for rule in rules if rule.get("ID") != CORS_RULE["ID"]]
    client.call("put_bucket_cors", CORSConfiguration={"CORSRules": [*others, CORS_RULE]})
    return True


def _same_rule(rule: dict[str, Any]) -> bool:
    """Services give lists back in any order, and some lose the ID."""
    return all(set(rule.get(name, ())) == set(wanted) for name, wanted in CORS_RULE.items() if isinstance(wanted, list))


def _open_to_all(client: Client) -> bool:
    """Leaves other statements of the bucket's policy as they are."""
    name = client.bucket.bucket
    wanted = {
        "Sid": STATEMENT,
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{name}/*",
    }
    policy = _policy(client)
    unblocked = _unblock(client)
    if wanted in policy["Statement"]:
        return unblocked
    others = [statement for statement in policy["Statement"] if statement.get("Sid") != STATEMENT]
    text = json.dumps({**policy, "Statement": [*others, wanted]})
    client.call("put_bucket_policy", Policy=text)
    return True


def _policy(client: Client) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(client.call("get_bucket_policy")["Policy"])
    except UnsetError:
        return {"Version": "2012-10-17", "Statement": []}
    statements = kept.get("Statement", [])
    return {**kept, "Statement": statements if isinstance(statements, list) else [statements]}


def _unblock(client: Client) -> bool:
    """Amazon blocks public policies of new buckets until it is told otherwise."""
    try:
        block = client.call("get_public_access_block")["PublicAccessBlockConfiguration"]
    except (UnsetError, UnsupportedError, StorageAuthError):
        return False
    if not block.get("BlockPublicPolicy") and not block.get("RestrictPublicBuckets"):
        return False
    opened = {**block, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
    client.call("put_public_access_block", PublicAccessBlockConfiguration=opened)
    return True
