"""Files on their way take their room before they come, and wait when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as site

from storage_app.upkeep import workspace
from tests.unit.test_hls_room import _IN_A_NAMESPACE, may_mount

ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
import django
django.setup()
from storage_app.upkeep.lease import Postpone
from storage_app.upkeep.workspace import reserve, waiting_for_room
folder, first = Path(sys.argv[1]), int(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
try:
    with waiting_for_room(), (folder / "file").open("wb") as file:
        reserve(file, first)
        print("reserved")
        file.write(bytes(2_000_000))
        file.flush()
except Postpone as reason:
    print(reason)
"""


def test_the_room_is_taken_at_once(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        workspace.reserve(file, 5_000_000)
        assert os.fstat(file.fileno()).st_blocks * 512 >= 5_000_000


@pytest.mark.parametrize(("size", "reserved"), [(2_000_000, False), (100_000, True)])
def test_a_full_disk_is_waited_for(size: int, reserved: bool, tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("needs a namespace in which a small disk can be mounted")
    command = [*_IN_A_NAMESPACE, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path), str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=site.BASE_DIR)
    *before, reason = done.stdout.splitlines()
    assert (before, "has become full" in reason) == (["reserved"] if reserved else [], True)


def test_other_faults_are_no_lack_of_room(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), workspace.waiting_for_room():
        (tmp_path / "nowhere" / "file").open("wb")
