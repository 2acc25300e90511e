"""The predicate of each finding, pasted into a session of its own, returns exactly the rows counted, whatever that session is set to.

What the report shows is `evidence.sql`, the whole SELECT, and `evidence.where`, to be put after the name of the table it
selects from; ONLY keeps inheritance children out, as the SELECT does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from auditor.catalog.model import Statement
from auditor.check import Finding
from tests.conftest import Make
from tests.helpers import audit
from tests.test_checks import FILES, check_of, since

pytestmark = pytest.mark.core

# Tables of the same names in another schema, functions and views called as those of the system are, texts read the old way.
DECOYS = """
    CREATE SCHEMA decoy;
    CREATE FUNCTION decoy.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''-infinity''::timestamptz';
    CREATE FUNCTION decoy.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''decoy''::text';
    CREATE FUNCTION decoy.row_number() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
    CREATE VIEW decoy.pg_class AS SELECT 1 AS one;
"""
SETTINGS = (
    "SET search_path = decoy, pg_catalog",
    "SET standard_conforming_strings = off",
    "SET escape_string_warning = off",
    "SET transform_null_equals = on",
    "SET DateStyle = 'SQL, DMY'",
    "SET IntervalStyle = 'sql_standard'",
    "SET bytea_output = 'escape'",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
)


# Checks that judge the catalog only, or whose rows another check reports.
NO_ROWS = {
    "companions/sync-trigger-missing",
    "foundations/checksum-failures",
    "foundations/collation-changed",
    "foundations/function-broken",
    "foundations/sequence-exhaustion",
    "foundations/trigger-disabled",
    "nullability/default-violates-check",
    "nullability/insert-deadlock",
    "foundations/unlogged-table",
    "references/duplicate-fk",
    "references/fk-not-enforced",
    "references/fk-type-mismatch",
    "uniqueness/no-unique-key",
    "uniqueness/one-to-one-not-unique",
}


@contextmanager
def session(dsn: str, *settings: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in settings:
            connection.execute(setting.encode())
        yield connection


def selected(finding: Finding) -> str:
    """What the finding's SELECT reads from: [ONLY] schema.table [AS name], as the report shows it."""
    assert finding.evidence is not None
    found = re.match(r"SELECT \* *\nFROM (.*?) *\nWHERE ", finding.evidence.sql or "", re.DOTALL)
    assert found is not None, finding.evidence.sql
    return found[1]


def counted(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_predicates_find_exactly_the_rows_counted(path: Path, database: Make, version: int) -> None:
    if version < since(path):
        pytest.skip(f"for PostgreSQL {since(path)} and later")
    text = path.read_text(encoding="utf-8")
    config = "\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE))
    handed = "\n".join(re.findall(r"^-- handed over: ?(.*)", text, re.MULTILINE))
    statements = (Statement("queries.sql", 1, handed),) if handed else ()
    dsn = database(text)
    result = audit(dsn, config, statements, depth="full", select=[check_of(path)])
    found = [f for f in result.findings if f.evidence is not None and f.evidence.where]
    assert bool(found) is (check_of(path) not in NO_ROWS)
    with session(dsn) as plain:
        plain.execute(DECOYS.encode())
    for settings in ((), SETTINGS):
        with session(dsn, *settings) as pasted:
            for finding in found:
                evidence = finding.evidence
                assert evidence is not None
                statement = f"SELECT count(*) FROM {selected(finding)} WHERE {evidence.where}"
                assert counted(pasted, statement) == evidence.violations, (finding.title, statement)
                whole = (evidence.sql or "").strip().removesuffix(";")
                shown = f"SELECT count(*) FROM ({whole}) AS shown"
                assert counted(pasted, shown) == evidence.violations, (finding.title, shown)
                assert "\n" not in (evidence.where or "")
                assert len(evidence.sample) == min(evidence.violations or 0, 10)
