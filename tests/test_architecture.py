"""Keeps the house in shape."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from queue_app.migrations._sql import FOLDER
from queue_app.protection import sql_function_names

ROOT = Path(__file__).parent.parent
APPS = ("archive_site", "queue_app", "storage_app")
MODULES = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]
FREE_OF_MODELS = ("queue_app/downloaders", "queue_app/media", "storage_app/backends", "storage_app/playback/ranges.py")
MAY_IMPORT_APPS = {"urls.py", "admin_site.py", "health.py", "metrics.py", "api_errors.py"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Modules that are imported when this one is (not what is for the type checker only)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", [path for path in MODULES if "storage_app" in path.parts], ids=name_of)
def test_the_store_knows_nothing_of_the_queue(path: Path) -> None:
    assert not [module for module in imports(path) if module.startswith("queue_app")]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if "archive_site" in path.parts and path.name not in MAY_IMPORT_APPS],
    ids=name_of,
)
def test_the_wiring_imports_no_app(path: Path) -> None:
    assert not [module for module in imports(path) if module.startswith(("queue_app", "storage_app"))]


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path).startswith(FREE_OF_MODELS)], ids=name_of)
def test_what_touches_bytes_knows_no_tables(path: Path) -> None:
    assert not [module for module in imports(path) if module.endswith(".models") or module == "django.db"]


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    assert {name_of(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 300} == {}


def test_the_example_environment_names_exactly_what_is_read() -> None:
    pattern = re.compile(r'env\.(?:text|choice|boolean|integer|number|csv|host_ports|path|secret)\(\s*"([A-Z0-9_]+)"')
    read = {name for path in MODULES for name in pattern.findall(path.read_text(encoding="utf-8"))}
    read |= {"REELKEEP_POSTGRES_USER"}  # the database starts before env may be asked
    read |= {"HF_TOKEN_STORAGE_1", "HF_STORAGE_USERNAME_1"}  # numbered: archive_site/account_env.py
    example = set(re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert example == read - {"URL", "ONCE"}  # these two are arguments of `make demo`


def test_every_sql_file_is_used_by_exactly_one_migration() -> None:
    uses = Counter(
        name
        for path in FOLDER.parent.glob("0*.py")
        for name in re.findall(r'run_(?:function|replacement|sql)\("(\w+)"', path.read_text(encoding="utf-8"))
    )
    assert uses == Counter(path.stem for path in FOLDER.glob("*.sql"))


def newest(function: str) -> Path:
    """The file of its last version."""
    versions = [path for path in FOLDER.glob(f"{function}*.sql") if re.fullmatch(rf"{function}(_v\d+)?", path.stem)]
    return max(versions, key=lambda path: int(path.stem.removeprefix(function).removeprefix("_v") or 1))


@pytest.mark.django_db
def test_every_function_in_the_database_is_the_text_of_its_newest_file() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT proname, prosrc FROM pg_proc WHERE proname = ANY (%s)", [sorted(sql_function_names())])
        bodies = dict(cursor.fetchall())
    texts = {name: newest(name).read_text(encoding="utf-8") for name in sql_function_names()}
    files = {name: text.split("$$")[1] for name, text in texts.items()}
    assert bodies == files


@pytest.mark.django_db
def test_no_model_waits_for_a_migration() -> None:
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_every_constraint_was_checked_against_all_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE NOT convalidated")
        assert cursor.fetchall() == []


def test_every_management_command_has_a_test() -> None:
    commands = {path.stem for path in MODULES if "commands" in path.parts and path.stem != "__init__"}
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert {command for command in commands if not re.search(rf'"(--)?{command}"', tests)} == set()
