"""Keeps the tables and functions from the public where the database is a Supabase project (CONTRACT §1.1).

There every table of the schema is reachable through a REST layer as the roles `anon` and `authenticated`, Django's own
tables with the password hashes and sessions included. Row-level security without a policy shows them nothing; the
tables' owner, as whom Reelkeep connects, isn't bound by it.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

FOREIGN_ROLES = ("anon", "authenticated")
TRUSTED_ROLE = "service_role"
VIEWS = ("active_transcoding_jobs", "transcoding_history")


def protect_database(using: str, **_signal: Any) -> None:
    """Run after every `migrate`: row-level security on all our tables, no execute for the public on our functions."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [[*FOREIGN_ROLES, TRUSTED_ROLE]])
        roles = {name for (name,) in cursor.fetchall()}
        grantees = [sql.SQL("PUBLIC"), *(sql.Identifier(role) for role in FOREIGN_ROLES if role in roles)]
        for grantee in grantees:
            for function in _functions(connection):
                cursor.execute(sql.SQL("REVOKE ALL ON FUNCTION {} FROM {}").format(sql.SQL(function), grantee))
            for table in [*_tables(connection), *VIEWS]:
                cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(table), grantee))
        for table in _tables(connection, unprotected=True):
            cursor.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(sql.Identifier(table)))
        if TRUSTED_ROLE in roles:
            for function in _functions(connection):
                cursor.execute(
                    sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(
                        sql.SQL(function), sql.Identifier(TRUSTED_ROLE)
                    )
                )


def sql_function_names() -> frozenset[str]:
    """Names of our SQL functions: those of their files, less the version."""
    from queue_app.migrations._sql import FOLDER

    files = (path for path in FOLDER.glob("*.sql") if "CREATE OR REPLACE FUNCTION" in path.read_text(encoding="utf-8"))
    return frozenset(re.sub(r"_v[0-9]+$", "", path.stem) for path in files)


def _functions(connection: BaseDatabaseWrapper) -> list[str]:
    """Our functions as `name(argument types)`, quoted by the server."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE pronamespace = current_schema()::regnamespace AND proname = ANY (%s)",
            [sorted(sql_function_names())],
        )
        return [name for (name,) in cursor.fetchall()]


def _tables(connection: BaseDatabaseWrapper, *, unprotected: bool = False) -> list[str]:
    """Tables of all installed apps and of the migrations; only those without row-level security if asked."""
    names = [*connection.introspection.django_table_names(only_existing=True), "django_migrations"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
            " AND relname = ANY (%s) AND NOT (%s AND relrowsecurity)",
            [names, unprotected],
        )
        return [name for (name,) in cursor.fetchall()]
