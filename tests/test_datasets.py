"""Real rows, published without foreign keys: what hand-written SQL counted in them is found, and nothing else is.

The data lie beside the checkout, or where AUDITOR_SHARED_DATA says; conftest.py leaves this file out where they do not.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from auditor.check import Confidence, Severity
from auditor.text import ident, idents
from tests.conftest import DATA
from tests.helpers import audit

pytestmark = [pytest.mark.checkout, pytest.mark.once]
FOLDER = DATA / "datasets"
SETS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
TRUTH = json.loads((FOLDER / "truth.json").read_text(encoding="utf-8"))
REFERENCES = "references/orphan-rows"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def loaded(server: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The name of a data set, and the DSN of a database that holds it."""
    folder = FOLDER / str(request.param)
    database = f"dataset_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        dsn = psycopg.conninfo.make_conninfo(server, dbname=database)
        with psycopg.connect(dsn) as connection:
            load(connection, folder)
        yield folder.name, dsn
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def load(connection: psycopg.Connection[tuple[Any, ...]], folder: Path) -> None:
    connection.execute((folder / "tables.sql").read_bytes())
    for path in sorted(folder.glob("*.csv.gz")):
        table = ident(path.name.removesuffix(".csv.gz"))
        into = f"COPY {table} FROM STDIN WITH (FORMAT csv, HEADER true, NULL '')"
        with connection.cursor().copy(into.encode()) as copy:
            copy.write(gzip.decompress(path.read_bytes()))
    connection.execute((folder / "keys.sql").read_bytes())
    connection.execute("ANALYZE")


@cache
def relations(name: str) -> tuple[dict[str, Any], ...]:
    return tuple(relation for relation in TRUTH if relation["db"] == name)


def ends(relation: dict[str, Any]) -> tuple[str, str]:
    """The relation as `from` and `to` have it."""
    return (
        f"{ident(relation['child'])}({idents(relation['cols'])})",
        f"{ident(relation['parent'])}({idents(relation['pcols'])})",
    )


def config(name: str) -> str:
    both = map(ends, relations(name))
    return "\n".join(f"[[reference]]\nfrom = '{child}'\nto = '{parent}'" for child, parent in both)


NO_KEY = ["uniqueness/no-unique-key"]  # which most of these tables lack
over_all_sets = pytest.mark.parametrize("loaded", SETS, indirect=True)


@over_all_sets
def test_configured_references_have_exactly_the_orphans_that_were_counted(loaded: tuple[str, str]) -> None:
    name, dsn = loaded
    assert relations(name)
    result = audit(dsn, config(name), ignore=NO_KEY)
    assert result.run.status == "complete"
    found = {}
    with psycopg.connect(dsn) as connection:
        for finding in result.findings:
            if finding.confidence is Confidence.PROVEN:
                assert (finding.check, finding.severity) == (REFERENCES, Severity.ERROR)
                evidence = finding.evidence
                assert evidence is not None
                assert evidence.exact
                subject = finding.object
                columns = idents(subject.columns)
                counted = connection.execute(
                    f"SELECT count(*), count(DISTINCT ({columns})) FROM {ident(subject.table)}"
                    f" WHERE {evidence.where}".encode()
                ).fetchone()
                assert counted is not None
                assert counted[0] == evidence.violations
                assert finding.title.startswith(f"{counted[0]:,} row"), finding.title
                assert f" to {counted[1]:,} row" in finding.title
                found[subject.table, subject.columns, finding.related[0].table] = counted
    assert found == {
        (each["child"], tuple(each["cols"]), each["parent"]): (each["orphans"], each["distinct_orphans"])
        for each in relations(name)
        if each["orphans"]
    }
    # Every relation was asked about, and all of its rows were read.
    asked = sorted(
        (entry.object.table, entry.object.columns, entry.rows_examined, entry.outcome)
        for entry in result.coverage
        if entry.check == REFERENCES and entry.object.kind != "constraint"
    )
    assert asked == sorted(
        (each["child"], tuple(each["cols"]), each["child_rows"], "failed" if each["orphans"] else "passed")
        for each in relations(name)
    )


@over_all_sets
def test_without_configuration_nothing_is_proven(loaded: tuple[str, str]) -> None:
    name, dsn = loaded
    result = audit(dsn, ignore=NO_KEY)
    assert result.run.status == "complete"
    assert [f.title for f in result.findings if f.confidence is Confidence.PROVEN] == []
    if name.startswith("gtfs_"):
        assert [finding.title for finding in result.findings] == []
    true = {(each["child"], tuple(each["cols"]), each["parent"]): each["orphans"] for each in relations(name)}
    for finding in result.findings:
        # What is suspected is a relation that is there, with the orphans it has.
        key = (finding.object.table, finding.object.columns, finding.related[0].table)
        assert key in true, finding.title
        assert finding.evidence is not None
        assert finding.evidence.violations == true[key], finding.title
