"""The tables in which fixes keep what they change: each fix has its own, none is in the way of the next, none is alarming."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from auditor import ddl
from auditor.audit import open_catalog
from auditor.catalog.copies import is_copy
from auditor.catalog.model import Catalog
from auditor.connection import Session, Target
from tests.conftest import Make
from tests.helpers import audit

CASES = sorted((Path(__file__).parent / "checks").glob("*/*.sql"))
MADE = re.compile(r"CREATE TABLE ((?:\"(?:[^\"]|\"\")+\"|[^\" ])+) AS ", re.DOTALL)

pytestmark = pytest.mark.once


def read(dsn: str) -> Catalog:
    with Session(Target(dsn)) as session:
        return open_catalog(session)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_fixes_keep_has_names_of_its_own_and_raises_no_alarm(path: Path, database: Make, version: int) -> None:
    if version < int(path.stem.partition(".")[2] or 0):
        pytest.skip(f"for PostgreSQL {path.stem.partition('.')[2]} and later")
    text = path.read_text(encoding="utf-8")
    config = "\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE))
    dsn = database(text)
    before = {table.sql for table in read(dsn).tables.values()}

    def kept() -> dict[str, str]:
        """By the name of each copy the statement that makes it. Of a finding's fixes one is run."""
        found: dict[str, str] = {}
        for finding in audit(dsn, config, depth="full").findings:
            statements = [statement for fix in finding.fixes for statement in fix.sql]
            own = {name[1]: statement for statement in statements if (name := MADE.match(statement))}
            # Rows that are repeated under two predicates go by either fix.
            met = [name for name, text in own.items() if found.get(name, text) != text and "_duplicates" not in name]
            assert met == []
            found |= own
        return found

    first = kept()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in first.values():
            connection.execute(statement.encode())
    made = [table for table in read(dsn).tables.values() if table.sql not in before]
    assert len(made) == len(first)
    names = {table.name for table in made}
    alarms = [f for f in audit(dsn, config, depth="full").findings if f.object.table in names]
    # NULL under a domain that is NOT NULL keeps a dump from being restored, in whatever table; the rollback needs it there.
    assert [f.title for f in alarms if f.check != "nullability/null-in-not-null"] == []
    assert not kept().keys() & first.keys(), "what the last fix has kept is still there"


def test_fixes_of_one_table_follow_each_other(database: Make) -> None:
    """Two relations of one table are mended, and next month one of them again."""
    dsn = database(
        "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE teams (id int PRIMARY KEY)",
        "CREATE TABLE memberships (id int PRIMARY KEY, user_id int NOT NULL, team_id int NOT NULL)",
        "INSERT INTO users VALUES (1); INSERT INTO teams VALUES (1)",
        "INSERT INTO memberships VALUES (1, 1, 1), (2, 9, 1), (3, 1, 9)",
        "ALTER TABLE memberships ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID",
        "ALTER TABLE memberships ADD FOREIGN KEY (team_id) REFERENCES teams NOT VALID",
    )
    for again in (False, True):
        result = audit(dsn, select=["references/orphaned-memberships"], depth="full")
        assert len(result.findings) == (1 if again else 2)
        with psycopg.connect(dsn, autocommit=True) as connection:
            for finding in result.findings:
                for statement in finding.fixes[0].sql:
                    connection.execute(statement.encode())
            connection.execute("SET session_replication_role = replica")
            connection.execute("INSERT INTO memberships VALUES (4, 8, 1)")
            kept = [name for (name,) in connection.execute("SELECT relname FROM pg_class WHERE relname ~ 'orphans'")]
        assert sorted(kept) == [
            "memberships_team_id_orphans",
            "memberships_user_id_orphans",
            *(["memberships_user_id_orphans2"] if again else []),
        ]


def test_long_names_stay_apart(database: Make) -> None:
    long = "t" * 30 + "é" * 16
    dsn = database(
        f'CREATE TABLE "{long}" (id int PRIMARY KEY, user_id int); CREATE TABLE "{long[:-1]}" (id int PRIMARY KEY)'
    )
    tables = {table.name: table for table in read(dsn).tables.values()}
    names = {
        ddl.free_name(table, table.name, *about, "orphans")
        for table in tables.values()
        for about in ((), ("user_id",), ("id",))
    }
    assert len(names) == 6
    assert all(len(name.encode()) <= 63 and name.endswith("_orphans") for name in names)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE TABLE "{name}" AS SELECT id FROM "{long}"'.encode())
    catalog = read(dsn)
    assert {table.name for table in catalog.tables.values() if is_copy(catalog, table)} == names
    assert not names & {ddl.free_name(table, table.name, "user_id", "orphans") for table in catalog.tables.values()}


@pytest.mark.parametrize(
    ("statement", "copy"),
    [
        ("CREATE TABLE users_backup_2026 AS SELECT * FROM users", True),
        ("CREATE TABLE users_mails AS SELECT id, mail FROM users", True),
        ("CREATE TABLE backup AS SELECT * FROM users", False),
        ("CREATE TABLE usersbackup AS SELECT * FROM users", False),
        ("CREATE TABLE users_more AS SELECT *, 1 AS points FROM users", False),
        ("CREATE TABLE users_text AS SELECT id::text, mail FROM users", False),
        ("CREATE TABLE users_keyed (LIKE users INCLUDING ALL)", False),
        ("CREATE TABLE users_filled (id int NOT NULL, mail text)", False),
        ("CREATE SCHEMA other CREATE TABLE other.users_copy (id int, mail text)", False),
        ("CREATE VIEW users_seen AS SELECT * FROM users", False),
    ],
)
def test_what_is_taken_for_a_copy(statement: str, copy: bool, database: Make) -> None:
    dsn = database("CREATE TABLE users (id int PRIMARY KEY, mail text)", statement)
    catalog = read(dsn)
    assert [is_copy(catalog, table) for table in catalog.tables.values() if table.name != "users"] == [copy]
