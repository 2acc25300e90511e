"""The catalog as it is read: facts whose meaning no check's case file shows."""

from __future__ import annotations

import pytest

from auditor.audit import open_catalog
from auditor.catalog.model import Catalog, Table
from auditor.connection import Session, Target
from auditor.registry import identities, load
from tests.conftest import Make
from tests.helpers import login

SCRIPT = """
    CREATE TABLE t (id int PRIMARY KEY, word text COLLATE "C", other text, filled int);
    INSERT INTO t SELECT n, 'a', 'b', CASE WHEN n % 2 = 0 THEN n END FROM generate_series(1, 100) AS n;
    CREATE UNIQUE INDEX t_odd ON t (word text_pattern_ops, other COLLATE "POSIX", filled DESC) INCLUDE (id) WHERE id > 0;
    CREATE INDEX t_lower ON t (lower(word), other);
    ALTER TABLE t ADD CONSTRAINT t_other UNIQUE (other, id);
    COMMENT ON TABLE t IS 'of a table';
    COMMENT ON COLUMN t.word IS 'of a column';
    ANALYZE t
"""


def catalog_of(dsn: str, *, statistics: bool = True) -> Catalog:
    with Session(Target(dsn)) as session:
        return open_catalog(session, statistics=statistics)


@pytest.fixture
def table(database: Make) -> Table:
    return catalog_of(database(SCRIPT)).by_name["public", "t"]


def test_indexes(table: Table) -> None:
    found = {index.name: index for index in table.indexes}
    odd = found["t_odd"]
    assert (odd.columns, odd.include, odd.predicate) == (("word", "other", "filled"), ("id",), "(id > 0)")
    assert [key.opclass for key in odd.keys] == [
        ("pg_catalog", name) for name in ("text_pattern_ops", "text_ops", "int4_ops")
    ]
    assert [key.default_opclass for key in odd.keys] == [False, True, True]
    assert [key.collation for key in odd.keys] == [("pg_catalog", "C"), ("pg_catalog", "POSIX"), None]
    assert [key.equality for key in odd.keys] == [("pg_catalog", "=")] * 3
    lower = found["t_lower"]
    assert lower.columns is None
    assert [(key.column, key.expression) for key in lower.keys] == [(None, "lower(word)"), ("other", "other")]
    assert [key.equality for key in lower.keys] == [None, None]
    by_oid = {constraint.oid: constraint.name for constraint in table.constraints}
    assert {name: by_oid.get(index.constraint) for name, index in found.items()} == {
        "t_pkey": "t_pkey",
        "t_other": "t_other",
        "t_odd": None,
        "t_lower": None,
    }


def test_comments(table: Table) -> None:
    assert (table.comment, table.by_name["word"].comment, table.by_name["id"].comment) == (
        "of a table",
        "of a column",
        None,
    )


def test_statistics_are_known_only_where_they_are_asked_for(database: Make) -> None:
    dsn = database(SCRIPT)
    known = catalog_of(dsn).by_name["public", "t"].by_name["filled"]
    assert known.null_fraction == pytest.approx(0.5)
    unasked = catalog_of(dsn, statistics=False).by_name["public", "t"].by_name["filled"]
    assert (unasked.n_distinct, unasked.null_fraction) == (None, None)


def test_a_column_is_readable_by_its_own_privilege_or_the_tables(database: Make) -> None:
    dsn = database(SCRIPT)

    def readable(*grants: str) -> set[str]:
        table = catalog_of(login(dsn, *grants)).by_name["public", "t"]
        return {column.name for column in table.columns if column.readable}

    assert readable() == set()
    assert readable("GRANT SELECT (id, word) ON t TO {role}") == {"id", "word"}
    assert readable("GRANT SELECT ON t TO {role}") == {"id", "word", "other", "filled"}


def test_checks_are_named_without_being_loaded() -> None:
    assert identities() == tuple(check.id for check in load())
