"""Every check finds what its case file says, worded whole, and nothing else there; its predicates find the rows again."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from auditor.catalog.model import Statement
from auditor.registry import load
from auditor.text import qualified
from tests.conftest import Make
from tests.helpers import audit, titles

pytestmark = [pytest.mark.core, pytest.mark.packaged]

CASES = Path(__file__).parent / "checks"
FILES = sorted(CASES.glob("*/*.sql"))


def check_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem.split('.')[0].replace('_', '-')}"


def since(path: Path) -> int:
    """`name.15.sql` is for servers from 15 on."""
    return int(path.stem.partition(".")[2] or 0)


def test_every_check_has_a_case_file() -> None:
    assert {check.id for check in load()} == {check_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path, database: Make, version: int) -> None:
    if version < since(path):
        pytest.skip(f"for PostgreSQL {since(path)} and later")
    text = path.read_text(encoding="utf-8")
    expected = sorted(re.findall(r"-- finds: (.*)", text))
    config = "\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE))
    handed = "\n".join(re.findall(r"^-- handed over: ?(.*)", text, re.MULTILINE))
    depth = (re.findall(r"^-- depth: (\w+)", text, re.MULTILINE) or ["data"])[0]
    statements = (Statement("queries.sql", 1, handed),) if handed else ()
    dsn = database(text)
    result = audit(dsn, config, statements, depth=depth, select=[check_of(path)])
    assert titles(result) == expected
    assert [
        entry for entry in result.coverage if entry.outcome == "not_checked" and entry.reason != "unsupported"
    ] == []
    with psycopg.connect(dsn) as connection:
        for finding in result.findings:
            if finding.evidence and finding.evidence.where:
                subject = finding.object
                only = [t for t in (finding.object, *finding.related) if t.table]
                counts = [
                    connection.execute(
                        f"SELECT count(*) FROM {relation(connection, t.schema, t.table)} WHERE {finding.evidence.where}".encode()
                    ).fetchone()
                    for t in only[:2]
                    if mentions(finding.evidence.sql or "", t.schema, t.table)
                ]
                assert (finding.evidence.violations,) in counts, subject


def mentions(sql: str, schema: str, table: str) -> bool:
    return bool(re.match(rf"SELECT \* *\nFROM (ONLY )?{re.escape(qualified(schema, table))} ", sql))


def relation(connection: psycopg.Connection[tuple[object, ...]], schema: str, table: str) -> str:
    kind = connection.execute(
        "SELECT relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relname = %s",
        (schema, table),
    ).fetchone()
    return ("ONLY " if kind in (("r",), (b"r",)) else "") + qualified(schema, table)
