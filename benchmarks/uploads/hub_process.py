"""The tests' Hub as a process of its own: prints where it is, then a line of counts for each line that it is given."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.servers.hub import Hub


def main() -> None:
    """Until its standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("users", nargs="+")
    options = parser.parse_args()
    with Hub(options.folder) as hub:
        for user in options.users:
            hub.add_user(user)
        say({"endpoint": hub.endpoint})
        for line in sys.stdin:
            sha256, repo, path = line.split()
            held = [user for user in options.users if holds(hub, user, repo, path, sha256)]
            sent = {user: dict(hub.received(user)) for user in options.users}
            say({"held": held, "sent": sent})


def holds(hub: Hub, user: str, repo: str, path: str, sha256: str) -> bool:
    """Would a reader get the right bytes?"""
    try:
        return hub.sha256(user, repo, path) == sha256
    except KeyError:
        return False


def say(what: object) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
