"""What depth catalog leaves unread, and what is known without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.audit import Auditor, open_catalog
from auditor.catalog.model import Catalog
from auditor.catalog.read import Wanted
from auditor.config import merged
from auditor.connection import Session, Target
from auditor.registry import identities, load
from auditor.text import qualified
from tests.conftest import Make
from tests.helpers import login

SCRIPT = """
    CREATE TABLE t (id int PRIMARY KEY, word text, other text, filled int);
    INSERT INTO t SELECT n, 'a', 'b', CASE WHEN n % 2 = 0 THEN n END FROM generate_series(1, 100) AS n;
    ANALYZE t
"""


def catalog_of(dsn: str, *, statistics: Wanted | None = lambda _: True) -> Catalog:
    with Session(Target(dsn)) as session:
        return open_catalog(session, statistics=statistics)


def test_statistics_are_known_only_where_they_are_asked_for(database: Make) -> None:
    other = """CREATE TABLE "T'\\t" AS TABLE t; ANALYZE "T'\\t";"""
    dsn = database(SCRIPT, f"{other} CREATE SCHEMA beside; CREATE TABLE beside.t AS TABLE t; ANALYZE beside.t")
    whole = catalog_of(dsn)
    nulls = {qualified(table.schema, table.name): table.oid for table in whole.tables.values()}
    assert {name: whole.statistics[oid, "filled"][1] for name, oid in nulls.items()} == {
        name: pytest.approx(0.5) for name in ("public.t", "beside.t", """public."T'\\t\"""")
    }
    assert {oid for oid, _ in catalog_of(dsn, statistics=lambda t: "'" in t.name).statistics} == {
        nulls["""public."T'\\t\""""]
    }
    assert not catalog_of(dsn, statistics=lambda _: False).statistics
    assert not catalog_of(dsn, statistics=None).statistics


def test_an_audit_knows_the_statistics_of_what_it_was_asked_for(database: Make) -> None:
    dsn = database(SCRIPT, "CREATE TABLE other AS TABLE t; ANALYZE other")

    def known(**options: object) -> set[str]:
        catalog = Auditor(merged({}, options), Target(dsn))._planned()[0]
        return {catalog.tables[oid].name for oid, _ in catalog.statistics}

    assert known() == {"t", "other"}
    assert known(tables=("oth*",)) == {"other"}
    assert known(exclude_tables=("other",)) == {"t"}
    assert known(depth="catalog") == set()


def test_what_asks_rows_is_not_loaded_where_none_is_asked(database: Make, tmp_path: Path) -> None:
    dsn, report = database(SCRIPT), tmp_path / "first.json"
    script = (
        "import sys; from auditor.cli import app\n"
        "try: app()\n"
        "finally: print('rows asked' if {'sqlalchemy', 'auditor.run'} & {*sys.modules} else 'none', file=sys.stderr)"
    )

    def said(*options: str) -> str:
        command = [sys.executable, "-c", script, "audit", dsn, "-q", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr.strip()

    assert said("--depth", "catalog") == "none"
    assert said("-f", f"json:{report}") == "rows asked"
    again = said("--since", str(report), "-f", f"json:{tmp_path / 'second.json'}")
    probes = json.loads((tmp_path / "second.json").read_bytes())["summary"]["probes"]
    assert again == ("rows asked" if probes else "none")  # none as long as no transaction ends on the whole server


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
