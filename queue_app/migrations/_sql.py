"""Turns `sql/<name>.sql` into a migration operation. No file is edited after its release: a change is `<name>_v2`."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

FOLDER = Path(__file__).parent / "sql"


def run_sql(name: str, reverse: str) -> migrations.RunSQL:
    """The operation that runs `sql/<name>.sql`; `reverse` undoes it."""
    return migrations.RunSQL((FOLDER / f"{name}.sql").read_text(encoding="utf-8"), reverse)


def run_function(name: str) -> migrations.RunSQL:
    """The operation that creates the SQL function `name`; it is dropped with its triggers on the way back."""
    return run_sql(name, f"DROP FUNCTION {name} CASCADE")


def run_replacement(name: str) -> migrations.RunSQL:
    """The operation that puts `sql/<function>_v<n>.sql` in the place of the function's version before.

    Where its arguments change, the file drops the one before first: two of one name would be ambiguous to callers.
    """
    function, _, number = name.rpartition("_v")
    before = function if number == "2" else f"{function}_v{int(number) - 1}"
    text, old = ((FOLDER / f"{n}.sql").read_text(encoding="utf-8") for n in (name, before))
    drop = f"DROP FUNCTION {function};\n" if text.startswith("DROP FUNCTION") else ""
    # What the one before dropped on its own way in is long gone on the way back.
    old = old.split(";\n", 1)[1] if old.startswith("DROP FUNCTION") else old
    return migrations.RunSQL(text, drop + old.split("\nCREATE TRIGGER")[0])
