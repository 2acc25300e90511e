"""What depth catalog leaves unread, and what is known without it."""

from __future__ import annotations

import pytest

from auditor.audit import open_catalog
from auditor.catalog.model import Catalog
from auditor.connection import Session, Target
from auditor.registry import identities, load
from tests.conftest import Make
from tests.helpers import login

SCRIPT = """
    CREATE TABLE t (id int PRIMARY KEY, word text, other text, filled int);
    INSERT INTO t SELECT n, 'a', 'b', CASE WHEN n % 2 = 0 THEN n END FROM generate_series(1, 100) AS n;
    ANALYZE t
"""


def catalog_of(dsn: str, *, statistics: bool = True) -> Catalog:
    with Session(Target(dsn)) as session:
        return open_catalog(session, statistics=statistics)


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
